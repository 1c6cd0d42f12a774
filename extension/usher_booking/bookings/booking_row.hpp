// A row of bookings inside its BEFORE trigger: columns by name, changes collected and applied at once.
#pragma once
#include "usher_booking/booking_kit.hpp"
#include <memory>

namespace usher::booking {

// clang-format off
#define USHER_BOOKING_COLUMNS(X) \
    X(id, UUIDOID) X(customer_id, UUIDOID) X(customer_user_id, UUIDOID) X(service_id, UUIDOID) X(location_id, UUIDOID) X(staff_id, UUIDOID) \
    X(status, TEXTOID) X(start_at, TIMESTAMPTZOID) X(end_at, TIMESTAMPTZOID) X(duration, INTERVALOID) \
    X(buffer_before, INTERVALOID) X(buffer_after, INTERVALOID) X(service_name, TEXTOID) X(price_minor, INT8OID) \
    X(currency, TEXTOID) X(pending_blocks, BOOLOID) X(auto_confirm, BOOLOID) X(needs_staff, BOOLOID) \
    X(customer_exclusive, BOOLOID) X(by_appointment, BOOLOID) X(overbooked, BOOLOID) X(daily_limit, INT4OID) \
    X(prepay_minor, INT8OID) X(refund_percent, INT2OID) X(cancellation_reason, TEXTOID) \
    X(hold_expires_at, TIMESTAMPTZOID) X(paid_at, TIMESTAMPTZOID) X(payment_method, TEXTOID) X(payment_transaction, TEXTOID) \
    X(confirmed_at, TIMESTAMPTZOID) X(started_at, TIMESTAMPTZOID) X(completed_at, TIMESTAMPTZOID) \
    X(cancelled_at, TIMESTAMPTZOID) X(created_by, UUIDOID) X(created_at, TIMESTAMPTZOID) \
    X(updated_at, TIMESTAMPTZOID) X(version, INT4OID) X(discount_minor, INT8OID) X(paid_minor, INT8OID)
// clang-format on

enum class Column : std::uint8_t {
#define X(name, type) name,
    USHER_BOOKING_COLUMNS(X)
#undef X
};

class BookingRow {
public:
    BookingRow(HeapTuple tuple, Relation relation);

    [[nodiscard]] bool is_null(Column column) const;
    [[nodiscard]] Datum datum(Column column) const; // throws 23502 when NULL
    [[nodiscard]] Uuid uuid(Column column) const { return pg::uuid_of(datum(column)); }
    [[nodiscard]] std::optional<Uuid> optional_uuid(Column column) const;
    [[nodiscard]] std::string_view text(Column column) const; // valid as long as the tuple
    [[nodiscard]] Instant time(Column column) const { return pg::instant_of(datum(column)); }
    [[nodiscard]] std::int64_t interval_us(Column column) const { return pg::microseconds_of(datum(column)); }
    [[nodiscard]] bool boolean(Column column) const { return !is_null(column) && DatumGetBool(datum(column)); }
    /// NULLs are equal to each other.
    [[nodiscard]] bool differs(const BookingRow &other, Column column) const;

    void set(Column column, const pg::Param &value);
    /// The row with what was set.
    [[nodiscard]] HeapTuple finish();

private:
    HeapTuple tuple_;
    TupleDesc desc_;
    std::vector<int> changed_;
    std::vector<Datum> values_;
    std::unique_ptr<bool[]> nulls_;
};

} // namespace usher::booking
