// The handler of payments: a paid booking is confirmed, and money that is too much, or for one that cannot be, is
// proposed for refund. The feature of payments decides; here nothing is known of it but its events. What offers take
// off a booking is kept here as well, because both decide together what is still to be paid.
//
// Payload: {"reference_type": "booking", "reference_id": uuid, "transaction_id": …, "captured_minor": n,
// "refunded_minor": n, "currency": "EUR", "payment_method": "card"}
// and, where several payments make up the price, {"reference_captured_minor": n, "reference_refunded_minor": n}.
#include "usher_booking/bookings/booking_payments.hpp"
#include "common/json_object.hpp"
#include "common/utf8.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/bookings/held_booking.hpp"
#include "usher_booking/slots/hold.hpp"
#include <algorithm>

namespace usher::booking {

namespace {
constinit bool running = false;

class Running { // errors arrive as exceptions, so this always comes back
public:
    Running() : outer_(running) { running = true; }
    ~Running() { running = outer_; }
    Running(const Running &) = delete;
    Running &operator=(const Running &) = delete;

private:
    bool outer_;
};

constinit Statement lock_first{"SELECT @._lock_before_moving(ARRAY[$1], NULL)"};
constinit Statement read_booking{R"(
    SELECT b.status, b.hold_expires_at, b.price_minor, b.currency, b.paid_at, @._lacks_staff(j.row),
           b.payment_transaction, b.prepay_minor, coalesce((j.row ->> 'discount_minor')::bigint, 0),
           coalesce((j.row ->> 'paid_minor')::bigint, 0)
    FROM @.bookings AS b CROSS JOIN LATERAL pg_catalog.to_jsonb(b) AS j (row)
    WHERE b.id = $1)"};
constinit Statement mark_paid{R"(
    UPDATE @.bookings AS b
    SET paid_at = pg_catalog.clock_timestamp(), payment_method = $2, payment_transaction = $3
    WHERE b.id = $1)"};
constinit Statement note_sum{"UPDATE @.bookings AS b SET paid_minor = $2 WHERE b.id = $1 AND b.paid_minor <> $2"};
// By the discount, what was paid is enough.
constinit Statement cover{
    "UPDATE @.bookings AS b SET paid_at = pg_catalog.clock_timestamp() WHERE b.id = $1 AND b.paid_at IS NULL"};
// All of it went back.
constinit Statement forget_payment{R"(
    UPDATE @.bookings AS b
    SET paid_at = NULL, payment_method = NULL, payment_transaction = NULL, paid_minor = $2
    WHERE b.id = $1)"};
// Never more than is still to be paid.
constinit Statement take_off{R"(
    UPDATE @.bookings AS b
    SET discount_minor = d.discount
    FROM (SELECT least(coalesce(pg_catalog.sum(g.discount_minor), 0)::bigint,
                       greatest(x.price_minor - x.paid_minor, 0)) AS discount
          FROM @.bookings AS x LEFT JOIN @.booking_discounts AS g ON g.booking_id = x.id
          WHERE x.id = $1
          GROUP BY x.id) AS d
    WHERE b.id = $1 AND b.discount_minor <> d.discount)"};
constinit Statement describe_sums{R"(
    SELECT pg_catalog.jsonb_build_object('id', b.id, 'customer_id', b.customer_id,
        'customer_user_id', b.customer_user_id, 'location_id', b.location_id, 'status', b.status,
        'currency', b.currency, 'price_minor', b.price_minor, 'discount_minor', b.discount_minor,
        'total_minor', b.price_minor - b.discount_minor, 'paid_minor', b.paid_minor,
        'prepay_minor', least(b.prepay_minor, b.price_minor - b.discount_minor),
        'is_paid', b.paid_at IS NOT NULL)::text
    FROM @.bookings AS b
    WHERE b.id = $1)"};
constinit Statement confirm{"UPDATE @.bookings AS b SET status = 'confirmed' WHERE b.id = $1"};
// Paid for, but nobody is there to do it yet: it keeps its place until somebody decides.
constinit Statement keep_place{"UPDATE @.bookings AS b SET hold_expires_at = NULL WHERE b.id = $1"};
constinit Statement expire{
    "UPDATE @.bookings AS b SET status = 'cancelled', cancellation_reason = 'hold_expired' WHERE b.id = $1"};

constexpr std::size_t longest_id = 255; // of a transaction, in bytes, as it is kept

struct Payment {
    Uuid booking;
    std::string transaction, currency, method;
    std::int64_t net_minor = 0;              // of this payment
    std::optional<std::int64_t> total_minor; // of all payments of the booking, where the publisher says so
};

/// Nothing when the event is not about a booking.
std::optional<Payment> read_payment(const std::string &payload) {
    json::Document document;
    if (!document.parse(payload)) return std::nullopt;
    const json::Value root = document.root();
    const auto text = [&](std::string_view key) {
        const auto found = root.find(key);
        return found ? found->as_string() : std::string();
    };
    const auto number = [&](std::string_view key) {
        const auto found = root.find(key);
        return found ? found->as_int64().value_or(0) : 0;
    };
    const std::optional<Uuid> booking = parse_uuid(text("reference_id"));
    if (text("reference_type") != "booking" || !booking) return std::nullopt;
    const std::int64_t captured = number("captured_minor"), refunded = number("refunded_minor");
    if (captured < 0 || refunded < 0 || refunded > captured)
        throw Error(errc::invalid_argument, "captured_minor and refunded_minor of a payment do not fit",
                    R"({"argument":"payload"})");
    std::optional<std::int64_t> total;
    if (root.find("reference_captured_minor"))
        total = number("reference_captured_minor") - number("reference_refunded_minor");
    std::string method = text("payment_method");
    if (method.empty() || method.size() > 20) method = "other";
    return Payment{*booking, text("transaction_id"), text("currency"), method, captured - refunded, total};
}

void propose_refund(const Payment &payment, std::int64_t amount, const char *reason) {
    json::Object proposal;
    proposal.add("booking_id", payment.booking).add("transaction_id", payment.transaction);
    proposal.add("amount_minor", amount).add("currency", payment.currency).add("reason", reason);
    kit::publish("booking.refund_proposed", proposal.text(), to_string(payment.booking));
}

/// The scripts of 0.9.0 have no columns for sums, and nobody hears of them.
bool keeps_sums(const Schema &schema) { return kit::has_column(schema, "bookings", "paid_minor"); }

/// Whether that is another sum than before.
bool note_total(const Schema &schema, const Uuid &booking, std::int64_t total) {
    return keeps_sums(schema) && note_sum.run(schema, {pg::uuid(booking), pg::int8(total)}).processed() > 0;
}

/// Whoever asks for money hears of another sum.
void tell_sums(const Schema &schema, const Uuid &booking) {
    if (!keeps_sums(schema)) return;
    kit::publish("booking.total_changed", describe_sums.run(schema, {pg::uuid(booking)}).front().string(0),
                 to_string(booking));
}

/// What a booking costs and what is paid for it, as read_booking has it.
struct Sums {
    explicit Sums(const pg::Row &row)
        : due(row.int8(2) - row.int8(8)),
          advance(std::min(row.int8(7), due)),
          paid(row.int8(9)),
          is_paid(!row.is_null(4)) {
        if (is_paid && paid == 0) paid = due; // from before it was counted
    }
    std::int64_t due, advance, paid;
    bool is_paid;
};

/// What all payments have come to. A publisher that does not say so announces one payment after the other, and the same
/// one again when it has become more.
std::int64_t total_of(const Payment &payment, const pg::Row &booking, const Sums &sums) {
    if (payment.total_minor) return *payment.total_minor;
    const bool is_another = !booking.is_null(6) && booking.text(6) != clip(payment.transaction, longest_id);
    return is_another ? sums.paid + payment.net_minor : payment.net_minor;
}

// Either the payment confirms the booking, or somebody else may have its place: that is decided once, with the guards
// in hand, so that whoever books at the end of the hold waits for it.
void settle(const Schema &schema, const Payment &payment) {
    const pg::Param id = pg::uuid(payment.booking);
    lock_first.run(schema, {id});
    if (!lock_with_guards(schema, payment.booking)) {
        propose_refund(payment, payment.net_minor, "unknown_booking");
        return;
    }
    const pg::Rows rows = read_booking.run(schema, {id});
    const pg::Row booking = rows.front();
    const std::string status = booking.string(0);
    const slots::Hold hold{status == "pending", booking.optional_time(1)};
    if (payment.net_minor == 0) return;
    if (payment.currency != booking.text(3)) {
        propose_refund(payment, payment.net_minor, "wrong_currency");
        return;
    }
    const Sums sums(booking);
    const std::int64_t total = total_of(payment, booking, sums);
    const auto give_back_all = [&](const char *reason) { // what goes back counts as gone
        (void)note_total(schema, payment.booking, total - payment.net_minor);
        propose_refund(payment, payment.net_minor, reason);
        tell_sums(schema, payment.booking);
    };
    if (status == "cancelled") return give_back_all("booking_cancelled");
    if (hold.is_over(pg::clock_time())) {
        expire.run(schema, {id});
        return give_back_all("hold_expired");
    }
    // What is too much goes back, whichever payment was first, and never more than this one.
    const std::int64_t surplus = std::clamp<std::int64_t>(total - sums.due, 0, payment.net_minor);
    const bool is_paid = total >= sums.due, is_advanced = sums.advance > 0 && total >= sums.advance;
    bool is_another_sum = false;
    const pg::Refusal refusal = pg::attempt([&] {
        is_another_sum = note_total(schema, payment.booking, total - surplus);
        if (is_paid && !sums.is_paid)
            mark_paid.run(schema, {id, pg::text(payment.method), pg::text(clip(payment.transaction, longest_id))});
        if (hold.is_pending && (is_paid || is_advanced)) (booking.boolean(5) ? keep_place : confirm).run(schema, {id});
    });
    if (refusal) {
        // A pending booking that does not block can lose its time to another one, and stays pending then. Whatever else
        // it is, is for the caller to see.
        const std::string code = refusal.sqlstate();
        if (code != errc::slot_taken.sqlstate && code != errc::capacity_full.sqlstate &&
            code != errc::daily_limit.sqlstate)
            throw pg::PgError{const_cast<ErrorData *>(refusal.error)};
        return give_back_all("slot_taken");
    }
    if (surplus > 0) propose_refund(payment, surplus, sums.paid > 0 ? "paid_already" : "overpaid");
    if (is_another_sum || surplus > 0 || (is_paid && !sums.is_paid)) tell_sums(schema, payment.booking);
}

/// What went back, or did not after all: a booking of which all went back is not paid any more.
void note_refund(const Schema &schema, const Payment &payment) {
    const pg::Param id = pg::uuid(payment.booking);
    lock_first.run(schema, {id});
    if (!lock_with_guards(schema, payment.booking)) return;
    const pg::Rows rows = read_booking.run(schema, {id});
    const pg::Row booking = rows.front();
    if (payment.currency != booking.text(3)) return;
    const Sums sums(booking);
    const bool is_known = !booking.is_null(6) && booking.text(6) == clip(payment.transaction, longest_id);
    if (!payment.total_minor && !is_known) return; // of one of several payments nobody says what is left of all
    const std::int64_t total = payment.total_minor.value_or(payment.net_minor);
    const bool is_forgotten = sums.is_paid && sums.due > 0 && total <= 0 && keeps_sums(schema);
    if (is_forgotten) forget_payment.run(schema, {id, pg::int8(total)});
    const bool is_another_sum = !is_forgotten && note_total(schema, payment.booking, total);
    if ((is_forgotten || is_another_sum) && booking.text(0) != "cancelled") tell_sums(schema, payment.booking);
}
} // namespace

bool payment_handler_runs() { return running; }

} // namespace usher::booking

/// _on_payment(event text, payload jsonb)
USHER_FUNCTION(usher_booking_on_payment) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Payment> payment = read_payment(args.output(1));
    if (!payment) return Datum{0};
    const Running now;
    if (args.text(0) == "payment.completed")
        settle(schema, *payment);
    else
        note_refund(schema, *payment);
    return Datum{0};
}

/// _apply_discounts(booking_id uuid): locked by the caller. What is covered by then is decided as after a payment.
USHER_FUNCTION(usher_booking_apply_discounts) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid booking = args.uuid(0);
    const Running now;
    if (take_off.run(schema, {pg::uuid(booking)}).processed() == 0) return pg::null_result(fcinfo);
    const pg::Rows rows = read_booking.run(schema, {pg::uuid(booking)});
    const pg::Row row = rows.front();
    const Sums sums(row);
    const slots::Hold hold{row.text(0) == "pending", row.optional_time(1)};
    const bool wants_advance = row.int8(7) > 0;
    if (wants_advance && !sums.is_paid && sums.paid >= sums.due) cover.run(schema, {pg::uuid(booking)});
    if (wants_advance && hold.is_pending && !hold.is_over(pg::clock_time()) && sums.paid >= sums.advance)
        (row.boolean(5) ? keep_place : confirm).run(schema, {pg::uuid(booking)});
    tell_sums(schema, booking);
    return pg::null_result(fcinfo);
}

/// _on_settling(event text, payload jsonb)
USHER_FUNCTION(usher_booking_on_settling) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    json::Document document;
    const std::string payload = args.output(1);
    if (!document.parse(payload)) return Datum{0};
    const auto reference = document.root().find("reference_id");
    const std::optional<Uuid> booking = reference ? parse_uuid(reference->as_string()) : std::nullopt;
    const auto type = document.root().find("reference_type");
    if (!booking || !type || !type->equals("booking")) return Datum{0};
    lock_first.run(schema, {pg::uuid(*booking)});
    (void)lock_with_guards(schema, *booking);
    return Datum{0};
}

/// _payment_handler_runs(): for the guard of the machine
USHER_FUNCTION(usher_booking_payment_handler_runs) { return BoolGetDatum(usher::booking::payment_handler_runs()); }
