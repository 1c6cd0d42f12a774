#include "kit/row_trigger.hpp"

namespace usher::kit {

bool TableRow::is_null(int column) const {
    return numbers_[column] == InvalidAttrNumber || heap_attisnull(tuple_, numbers_[column], desc_);
}

Datum TableRow::datum(int column) const {
    bool is_null = false;
    const AttrNumber number = numbers_[column];
    const Datum value = pg::call([&] { return heap_getattr(tuple_, number, desc_, &is_null); });
    if (is_null)
        throw Error("23502",
                    "column " + json::quote(NameStr(TupleDescAttr(desc_, number - 1)->attname)) + " must not be null");
    return value;
}

std::optional<Uuid> TableRow::optional_uuid(int column) const {
    return is_null(column) ? std::nullopt : std::optional(uuid(column));
}

std::optional<Instant> TableRow::optional_time(int column) const {
    return is_null(column) ? std::nullopt : std::optional(instant(column));
}

std::string_view TableRow::text(int column) const {
    if (is_null(column)) return {};
    const Datum value = datum(column);
    return pg::text_of(pg::call([&] { return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)); }));
}

std::int64_t TableRow::int8(int column) const { return is_null(column) ? 0 : DatumGetInt64(datum(column)); }

bool TableRow::differs(const TableRow &other, int column) const {
    if (is_null(column) || other.is_null(column)) return is_null(column) != other.is_null(column);
    const Form_pg_attribute attribute = TupleDescAttr(desc_, numbers_[column] - 1);
    const Datum mine = datum(column), theirs = other.datum(column);
    return !pg::call([&] { return datum_image_eq(mine, theirs, attribute->attbyval, attribute->attlen); });
}

HeapTuple TableRow::with(std::initializer_list<std::pair<int, pg::Param>> changes) const {
    std::array<int, 16> columns{};
    std::array<Datum, 16> values{};
    std::array<bool, 16> nulls{};
    if (changes.size() > columns.size()) throw Error("XX000", "internal error: too many changes of a row");
    int count = 0;
    for (const std::pair<int, pg::Param> &each : changes) {
        columns[count] = numbers_[each.first];
        nulls[count] = each.second.kind == pg::Param::Kind::null;
        values[count] = nulls[count] ? Datum{0} : pg::call([&] { return pg::to_datum(each.second); });
        ++count;
    }
    return pg::call(
        [&] { return heap_modify_tuple_by_cols(tuple_, desc_, count, columns.data(), values.data(), nulls.data()); });
}

RowTrigger::RowTrigger(FunctionCallInfo fcinfo, bool is_before, const char *table)
    : data(pg::require_trigger(
          fcinfo,
          [is_before](const TriggerData &each) {
              const TriggerEvent event = each.tg_event;
              return TRIGGER_FIRED_FOR_ROW(event) &&
                     (is_before ? TRIGGER_FIRED_BEFORE(event) : TRIGGER_FIRED_AFTER(event)) &&
                     (TRIGGER_FIRED_BY_INSERT(event) || TRIGGER_FIRED_BY_UPDATE(event));
          },
          is_before ? "BEFORE INSERT OR UPDATE for each row" : "AFTER INSERT OR UPDATE for each row")),
      schema(fcinfo),
      is_update(TRIGGER_FIRED_BY_UPDATE(data->tg_event)) {
    require_table(data, schema, table);
}

Datum announce_table(FunctionCallInfo fcinfo) {
    const auto fits = [](const TriggerData &each) { return TRIGGER_FIRED_AFTER(each.tg_event); };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "AFTER a change");
    pg::call([&] { CacheInvalidateRelcache(data->tg_relation); });
    return Datum{0};
}

} // namespace usher::kit
