#include "usher_booking/bookings/held_booking.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/claims/claims.hpp"
#include "usher_booking/slots/hold.hpp"

namespace usher::booking {

namespace {
constinit Statement find_holders{R"(
    SELECT b.location_id, b.customer_id, b.service_id, b.staff_id, b.start_at, b.end_at, b.buffer_before,
           b.buffer_after, b.daily_limit
    FROM @.bookings AS b
    WHERE b.id = ANY ($1)
    UNION ALL SELECT a.location_id, a.customer_id, NULL, a.practitioner_id, a.start_at, a.end_at, a.buffer_before,
        a.buffer_after, NULL
    FROM @.appointments AS a
    WHERE a.booking_id = ANY ($1) AND a.status IN ('scheduled', 'arrived', 'in_progress'))"};
// By the index on the end of the hold, the longest over first.
constinit Statement find_over{
    "SELECT b.id FROM @.bookings AS b WHERE " USHER_HOLD_IS_OVER("b", "$1") " ORDER BY b.hold_expires_at LIMIT $2"};
constinit Statement expire{
    "UPDATE @.bookings AS b SET status = 'cancelled', cancellation_reason = 'hold_expired' WHERE b.id IN ("
    "SELECT x.id FROM @.bookings AS x WHERE x.id = ANY ($2) AND " USHER_HOLD_IS_OVER(
        "x", "$1") " ORDER BY x.id FOR UPDATE SKIP LOCKED)"};
constinit Statement take_row{"SELECT 1 FROM @.bookings AS b WHERE b.id = $1 FOR UPDATE SKIP LOCKED"};
constinit Statement wait_for_row{"SELECT 1 FROM @.bookings AS b WHERE b.id = $1 FOR UPDATE"};

std::vector<Holder> holders_of(const Schema &schema, const std::vector<Uuid> &bookings) {
    const pg::Rows rows = find_holders.run(schema, {pg::uuid_array(bookings)});
    std::vector<Holder> holders;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        Holder holder;
        holder.location = row.uuid(0);
        holder.customer = row.uuid(1);
        if (!row.is_null(2)) holder.service = row.uuid(2);
        holder.staff = row.optional_uuid(3);
        holder.visible = {row.time(4), row.time(5)};
        holder.buffer_before = row.interval_us(6);
        holder.buffer_after = row.interval_us(7);
        if (!row.is_null(8)) holder.daily_limit = row.int4(8);
        holders.push_back(holder);
    }
    return holders;
}

bool need_the_same(const std::vector<Holder> &left, const std::vector<Holder> &right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](const Holder &a, const Holder &b) { return a.visible == b.visible && a.staff == b.staff; });
}

enum class Outcome : std::uint8_t { locked, unknown, busy, moved };

Outcome try_lock(const Schema &schema, const Uuid &booking) {
    const std::vector<Holder> holders = holders_of(schema, {booking});
    if (holders.empty()) return Outcome::unknown;
    take_guards(schema, holders);
    if (take_row.run(schema, {pg::uuid(booking)}).empty()) return Outcome::busy;
    return need_the_same(holders, holders_of(schema, {booking})) ? Outcome::locked : Outcome::moved;
}

/// Runs f in a subtransaction; what it locked is let go again unless it returns true.
template <class F> void keep_if(F &&f) {
    bool is_let_go = false;
    const pg::Refusal refusal = pg::attempt([&] {
        if (f()) return;
        is_let_go = true;
        throw Error("55P03", "booking is being changed by somebody else");
    });
    if (refusal && !is_let_go) throw pg::PgError{const_cast<ErrorData *>(refusal.error)};
}
} // namespace

// Whoever moves a booking has its row and wants guards. So nobody here waits for the row with guards in hand: they are
// let go, the row is waited for without them, and all begins anew.
bool lock_with_guards(const Schema &schema, const Uuid &booking) {
    for (;;) {
        pg::poll();
        Outcome outcome{};
        keep_if([&] {
            outcome = try_lock(schema, booking);
            return outcome == Outcome::locked || outcome == Outcome::unknown;
        });
        if (outcome == Outcome::locked || outcome == Outcome::unknown) return outcome == Outcome::locked;
        if (outcome == Outcome::busy)
            keep_if([&] {
                wait_for_row.run(schema, {pg::uuid(booking)});
                return false;
            });
    }
}

std::uint64_t expire_holds(const Schema &schema, int most) {
    const pg::Param now = pg::timestamptz(pg::clock_time());
    const pg::Rows rows = find_over.run(schema, {now, pg::int8(most)});
    std::vector<Uuid> over;
    for (std::size_t i = 0; i < rows.size(); ++i) over.push_back(rows[i].uuid(0));
    if (over.empty()) return 0;
    // Whoever books one of these places now waits for the guards, instead of finding its row locked.
    take_guards(schema, holders_of(schema, over));
    return expire.run(schema, {now, pg::uuid_array(over)}).processed();
}

} // namespace usher::booking

/// _hold_is_over(status text, hold_expires_at timestamptz)
USHER_FUNCTION(usher_booking_hold_is_over) {
    const usher::pg::Args args(fcinfo);
    const usher::slots::Hold hold{args.optional_text(0) == "pending", args.optional_time(1)};
    return BoolGetDatum(hold.is_over(usher::pg::clock_time()));
}

/// _expire_holds(max_rows integer)
USHER_FUNCTION(usher_booking_expire_holds) {
    const usher::pg::Args args(fcinfo);
    return Int32GetDatum(usher::booking::expire_holds(usher::kit::Schema(fcinfo), args.int4(0)));
}

/// _lock_with_guards(booking_id uuid)
USHER_FUNCTION(usher_booking_lock_with_guards) {
    const usher::pg::Args args(fcinfo);
    const usher::booking::Schema schema(fcinfo);
    return BoolGetDatum(usher::booking::lock_with_guards(schema, args.uuid(0)));
}
