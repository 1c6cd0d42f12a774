#include "usher_payment/card_numbers/refuse_card_numbers.hpp"
#include "common/json_object.hpp"
#include "usher_payment/card_numbers/card_number.hpp"

namespace usher::payment {

namespace {
/// The text of a column, without a copy where it can be. Plain frame.
std::string_view text_of_column(HeapTuple tuple, TupleDesc desc, int index) {
    const Form_pg_attribute attribute = TupleDescAttr(desc, index);
    if (attribute->attisdropped || attribute->attlen != -1) return {};
    bool is_null = false;
    const Datum value = heap_getattr(tuple, index + 1, desc, &is_null);
    if (is_null) return {};
    switch (getBaseType(attribute->atttypid)) {
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case JSONOID: return pg::text_of(PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)));
    case JSONBOID: {
        Jsonb *const json = DatumGetJsonbP(value);
        return JsonbToCString(nullptr, &json->root, VARSIZE(json));
    }
    default: return {};
    }
}
} // namespace

void refuse_card_numbers(HeapTuple tuple, Relation relation) {
    const TupleDesc desc = RelationGetDescr(relation);
    for (int i = 0; i < desc->natts; ++i) {
        const std::string_view text = pg::call([&] { return text_of_column(tuple, desc, i); });
        if (!has_card_number(text)) continue;
        const char *const column = NameStr(TupleDescAttr(desc, i)->attname);
        throw Error(errc::card_number_refused, "column " + json::quote(column) + " holds what looks like a card number",
                    json::Object().add("column", column).text(), "Store the token of the processor instead.");
    }
}

} // namespace usher::payment

/// _refuse_card_numbers(): BEFORE INSERT OR UPDATE, for each row
USHER_FUNCTION(usher_payment_refuse_card_numbers) {
    using namespace usher;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_FOR_ROW(each.tg_event) && TRIGGER_FIRED_BEFORE(each.tg_event) &&
               (TRIGGER_FIRED_BY_INSERT(each.tg_event) || TRIGGER_FIRED_BY_UPDATE(each.tg_event));
    };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "BEFORE INSERT OR UPDATE for each row");
    const HeapTuple row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
    if (!kit::is_restoring()) payment::refuse_card_numbers(row, data->tg_relation);
    return PointerGetDatum(row);
}

/// _has_card_number(text text), which the scripts of 0.9.0 have
USHER_FUNCTION(usher_payment_has_card_number) {
    const usher::pg::Args args(fcinfo);
    return BoolGetDatum(!args.is_null(0) && usher::payment::has_card_number(args.text(0)));
}
