#include "usher_booking/bookings/booking_row.hpp"
#include "usher_booking/booking_kit.hpp"

namespace usher::booking {

namespace {
constexpr const char *names[] = {
#define X(name, type) #name,
    USHER_BOOKING_COLUMNS(X)
#undef X
};
constexpr Oid types[] = {
#define X(name, type) type,
    USHER_BOOKING_COLUMNS(X)
#undef X
};
constexpr std::size_t count = std::size(names);
constexpr auto first_of_1_0 =
    static_cast<std::size_t>(Column::discount_minor); // the scripts of 0.9.0 have none of these

// Numbers of the columns in the one table of bookings that this backend sees, and when they were looked up.
constinit Oid known_table = InvalidOid;
constinit std::uint64_t known_at = 0;
constinit std::array<AttrNumber, count> numbers{};

void look_up(Relation relation) {
    const std::uint64_t now = pg::call([] { return pg::relation_changes(); });
    if (RelationGetRelid(relation) == known_table && known_at == now) return;
    known_table = InvalidOid;
    for (std::size_t i = 0; i < count; ++i)
        numbers[i] = static_cast<AttrNumber>(column_number(relation, names[i], types[i], i >= first_of_1_0));
    known_table = RelationGetRelid(relation);
    known_at = now;
}

AttrNumber number_of(Column column) { return numbers[static_cast<std::size_t>(column)]; }
} // namespace

BookingRow::BookingRow(HeapTuple tuple, Relation relation)
    : tuple_(tuple), desc_(RelationGetDescr(relation)), nulls_(new bool[count]) {
    look_up(relation);
    changed_.reserve(count);
    values_.reserve(count);
}

bool BookingRow::is_null(Column column) const {
    return number_of(column) == InvalidAttrNumber || heap_attisnull(tuple_, number_of(column), desc_);
}

Datum BookingRow::datum(Column column) const {
    bool is_null;
    const Datum value = pg::call([&] { return heap_getattr(tuple_, number_of(column), desc_, &is_null); });
    if (is_null)
        throw Error("23502", std::string("column \"") + names[static_cast<std::size_t>(column)] +
                                 "\" of a booking must not be null");
    return value;
}

std::optional<Uuid> BookingRow::optional_uuid(Column column) const {
    return is_null(column) ? std::nullopt : std::optional(uuid(column));
}

std::string_view BookingRow::text(Column column) const {
    const Datum value = datum(column);
    return pg::text_of(pg::call([&] { return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)); }));
}

bool BookingRow::differs(const BookingRow &other, Column column) const {
    if (is_null(column) || other.is_null(column)) return is_null(column) != other.is_null(column);
    const Form_pg_attribute attribute = TupleDescAttr(desc_, number_of(column) - 1);
    const Datum mine = datum(column), theirs = other.datum(column);
    return !pg::call([&] { return datum_image_eq(mine, theirs, attribute->attbyval, attribute->attlen); });
}

void BookingRow::set(Column column, const pg::Param &value) {
    const auto index = static_cast<std::size_t>(column);
    if (value.type != types[index])
        throw Error(errc::not_configured,
                    std::string("column \"") + names[index] + "\" of a booking is given a value of another type");
    changed_.push_back(number_of(column));
    nulls_[values_.size()] = value.kind == pg::Param::Kind::null;
    values_.push_back(pg::call([&] { return pg::to_datum(value); }));
    if (values_.size() > count) throw Error("XX000", "internal error: too many changes of a booking");
}

HeapTuple BookingRow::finish() {
    if (values_.empty()) return tuple_;
    tuple_ = pg::call([&] {
        return heap_modify_tuple_by_cols(tuple_, desc_, static_cast<int>(values_.size()), changed_.data(),
                                         values_.data(), nulls_.get());
    });
    return tuple_;
}

} // namespace usher::booking
