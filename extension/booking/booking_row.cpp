#include "booking/booking_row.hpp"

namespace usher::booking {

namespace {
constexpr const char *names[] = {
#define X(name) #name,
    USHER_BOOKING_COLUMNS(X)
#undef X
};
constexpr std::size_t count = std::size(names);

// Numbers of the columns in the one table of bookings that this backend sees. They never change while the table lives.
constinit Oid known_table = InvalidOid;
constinit std::array<AttrNumber, count> numbers{};

void look_up(Relation relation) {
    if (RelationGetRelid(relation) == known_table) return;
    known_table = InvalidOid;
    for (std::size_t i = 0; i < count; ++i) {
        const int number = pg::call([&] { return SPI_fnumber(RelationGetDescr(relation), names[i]); });
        if (number <= 0) throw Error("39P01", std::string("the table has no column ") + names[i]);
        numbers[i] = static_cast<AttrNumber>(number);
    }
    known_table = RelationGetRelid(relation);
}

AttrNumber number_of(Column column) { return numbers[static_cast<std::size_t>(column)]; }
} // namespace

BookingRow::BookingRow(HeapTuple tuple, Relation relation)
    : tuple_(tuple), desc_(RelationGetDescr(relation)), nulls_(new bool[count]) {
    look_up(relation);
    changed_.reserve(count);
    values_.reserve(count);
}

bool BookingRow::is_null(Column column) const { return heap_attisnull(tuple_, number_of(column), desc_); }

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

void BookingRow::set_datum(Column column, Datum value, bool is_null) {
    changed_.push_back(number_of(column));
    nulls_[values_.size()] = is_null;
    values_.push_back(value);
    if (values_.size() > count) throw Error("XX000", "internal error: too many changes of a booking");
}

void BookingRow::set(Column column, const pg::Param &value) {
    set_datum(column, pg::call([&] { return pg::to_datum(value); }), value.kind == pg::Param::Kind::null);
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
