// A row of bookings inside its BEFORE trigger: columns by name, changes collected and applied at once.
#pragma once
#include "booking/schema.hpp"
#include <memory>

namespace usher::booking {

// clang-format off
#define USHER_BOOKING_COLUMNS(X) \
    X(id) X(customer_id) X(service_id) X(location_id) X(staff_id) X(status) X(start_at) X(end_at) X(duration) \
    X(buffer_before) X(buffer_after) X(service_name) X(price_minor) X(currency) X(pending_blocks) X(auto_confirm) \
    X(needs_staff) X(customer_exclusive) X(by_appointment) X(overbooked) X(daily_limit) \
    X(hold_expires_at) X(paid_at) X(payment_method) X(confirmed_at) X(started_at) X(completed_at) X(cancelled_at) \
    X(created_by) X(created_at) X(updated_at) X(version)
// clang-format on

enum class Column : std::uint8_t {
#define X(name) name,
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
    void set_datum(Column column, Datum value, bool is_null);
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
