// What nobody changes by hand, raw SQL of the owner included: facts, which are only added, and what follows from them.
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/points/following.hpp"

namespace usher::loyalty {

namespace {

/// Do two rows differ in another column than those that the arguments of the trigger name, after the first?
bool differs_elsewhere(const TriggerData *data) {
    const Trigger *const trigger = data->tg_trigger;
    const TupleDesc desc = RelationGetDescr(data->tg_relation);
    return pg::call([&] {
        for (int i = 0; i < desc->natts; ++i) {
            const Form_pg_attribute attribute = TupleDescAttr(desc, i);
            bool is_free = attribute->attisdropped || attribute->attgenerated != '\0';
            for (int k = 1; k < trigger->tgnargs; ++k)
                is_free = is_free || std::strcmp(trigger->tgargs[k], NameStr(attribute->attname)) == 0;
            if (is_free) continue;
            bool was_null = false, is_null = false;
            const Datum before = heap_getattr(data->tg_trigtuple, i + 1, desc, &was_null);
            const Datum after = heap_getattr(data->tg_newtuple, i + 1, desc, &is_null);
            if (was_null != is_null ||
                (!is_null && !datum_image_eq(before, after, attribute->attbyval, attribute->attlen)))
                return true;
        }
        return false;
    });
}

[[noreturn]] void refuse(const TriggerData *data) {
    const bool is_fact = std::string_view(data->tg_trigger->tgargs[0]) == "fact";
    const std::string table = NameStr(RelationGetForm(data->tg_relation)->relname);
    if (is_fact)
        throw Error(errc::loyalty_append_only, "rows of \"" + table + "\" are only added",
                    json::Object().add("table", table).text());
    throw Error(errc::not_permitted, "rows of \"" + table + "\" are not written by hand",
                json::Object().add("table", table).add("rule", "follows").text(),
                "They follow from the facts that they are about.");
}

} // namespace

} // namespace usher::loyalty

/// _keep_rows('fact' or 'follows', column, …): BEFORE INSERT, UPDATE or DELETE for each row, or BEFORE TRUNCATE. The
/// columns may be changed by an UPDATE.
USHER_FUNCTION(usher_loyalty_keep_rows) {
    using namespace usher;
    using namespace usher::loyalty;
    const auto fits = [](const TriggerData &each) {
        const bool is_truncate = TRIGGER_FIRED_BY_TRUNCATE(each.tg_event);
        return TRIGGER_FIRED_BEFORE(each.tg_event) && bool(TRIGGER_FIRED_FOR_ROW(each.tg_event)) != is_truncate &&
               each.tg_trigger->tgnargs > 0;
    };
    const TriggerData *const data =
        pg::require_trigger(fcinfo, fits, "BEFORE INSERT, UPDATE or DELETE for each row, or BEFORE TRUNCATE",
                            "Its first argument says what the rows are.");
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    const HeapTuple row = is_update ? data->tg_newtuple : data->tg_trigtuple;
    if (kit::is_restoring() || Following::is_running()) return PointerGetDatum(row);
    if (is_update && !differs_elsewhere(data)) return PointerGetDatum(row);
    refuse(data);
}
