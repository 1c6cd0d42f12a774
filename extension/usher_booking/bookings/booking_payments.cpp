// The handler of payment.completed: a paid booking is confirmed, and money for one that cannot be is proposed for
// refund. The feature of payments decides; here nothing is known of it but its event.
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
    SELECT b.status, b.hold_expires_at, b.price_minor, b.currency, b.paid_at, @._lacks_staff(pg_catalog.to_jsonb(b)),
           b.payment_transaction, b.prepay_minor
    FROM @.bookings AS b
    WHERE b.id = $1)"};
constinit Statement mark_paid{R"(
    UPDATE @.bookings AS b
    SET paid_at = pg_catalog.clock_timestamp(), payment_method = $2, payment_transaction = $3
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
    std::int64_t net_minor = 0;   // of this payment
    std::int64_t total_minor = 0; // of all payments of the booking
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
    std::int64_t total = captured - refunded;
    if (root.find("reference_captured_minor")) {
        total = number("reference_captured_minor") - number("reference_refunded_minor");
        if (total < captured - refunded)
            throw Error(errc::invalid_argument, "the totals of a payment's reference do not fit",
                        R"({"argument":"payload"})");
    }
    std::string method = text("payment_method");
    if (method.empty() || method.size() > 20) method = "other";
    return Payment{*booking, text("transaction_id"), text("currency"), method, captured - refunded, total};
}

void propose_refund(const Payment &payment, const char *reason) {
    json::Object proposal;
    proposal.add("booking_id", payment.booking).add("transaction_id", payment.transaction);
    proposal.add("amount_minor", payment.net_minor).add("currency", payment.currency).add("reason", reason);
    kit::publish("booking.refund_proposed", proposal.text(), to_string(payment.booking));
}

/// Has another transaction paid the booking already? The same one may be announced again, with more captured or not.
bool is_second(const Payment &payment, const pg::Row &booking) {
    return !booking.is_null(4) && !booking.is_null(6) && booking.text(6) != clip(payment.transaction, longest_id);
}

// Either the payment confirms the booking, or somebody else may have its place: that is decided once, with the guards
// in hand, so that whoever books at the end of the hold waits for it.
void settle(const Schema &schema, const Payment &payment) {
    lock_first.run(schema, {pg::uuid(payment.booking)});
    if (!lock_with_guards(schema, payment.booking)) {
        propose_refund(payment, "unknown_booking");
        return;
    }
    const pg::Rows rows = read_booking.run(schema, {pg::uuid(payment.booking)});
    const pg::Row booking = rows.front();
    const std::string status = booking.string(0);
    const slots::Hold hold{status == "pending", booking.optional_time(1)};
    if (payment.net_minor == 0) return;
    if (payment.currency != booking.text(3)) {
        propose_refund(payment, "wrong_currency");
        return;
    }
    if (status == "cancelled") {
        propose_refund(payment, "booking_cancelled");
        return;
    }
    if (is_second(payment, booking)) {
        propose_refund(payment, "paid_already");
        return;
    }
    if (hold.is_over(pg::clock_time())) {
        expire.run(schema, {pg::uuid(payment.booking)});
        propose_refund(payment, "hold_expired");
        return;
    }
    const bool is_paid = payment.total_minor >= booking.int8(2);
    const std::int64_t advance = booking.int8(7);
    const bool is_advanced = advance > 0 && payment.total_minor >= advance;
    if (!is_paid && !is_advanced) return; // a part: the rest is still to come
    const pg::Refusal refusal = pg::attempt([&] {
        if (is_paid && booking.is_null(4))
            mark_paid.run(schema, {pg::uuid(payment.booking), pg::text(payment.method),
                                   pg::text(clip(payment.transaction, longest_id))});
        if (hold.is_pending) (booking.boolean(5) ? keep_place : confirm).run(schema, {pg::uuid(payment.booking)});
    });
    if (!refusal) return;
    // A pending booking that does not block can lose its time to another one, and stays pending then. Whatever else it
    // is, is for the caller to see.
    const std::string code = refusal.sqlstate();
    if (code != errc::slot_taken.sqlstate && code != errc::capacity_full.sqlstate && code != errc::daily_limit.sqlstate)
        throw pg::PgError{const_cast<ErrorData *>(refusal.error)};
    propose_refund(payment, "slot_taken");
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
    settle(schema, *payment);
    return Datum{0};
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
