#include "usher_shop/orders/ordering.hpp"
#include "common/json_object.hpp"
#include <algorithm>

namespace usher::shop {

namespace {
constinit const Ordering *innermost = nullptr;

// What the scripts of 0.9.0 have no columns for, is nothing: a name that `orders` lacks is found in `none`.
constinit Statement read{R"(
    SELECT o.status, o.total_minor, o.paid_minor, o.currency, o.customer_id, o.user_id, o.location_id, o.reason_code,
           coalesce(l.is_done, true), coalesce(l.sent, 0), o.placed_at IS NULL, o.by_payments, o.kept, o.asked
    FROM (VALUES (0::bigint, 0::bigint, 0::bigint, NULL::bigint))
            AS none (recorded_minor, handed_back_minor, kept_minor, asked_minor)
        CROSS JOIN LATERAL (
            SELECT x.*, x.paid_minor - recorded_minor + handed_back_minor AS by_payments, kept_minor AS kept,
                   asked_minor AS asked
            FROM @.orders AS x WHERE x.id = $1) AS o
        LEFT JOIN LATERAL (
            SELECT bool_and(l.fulfilled + l.cancelled = l.quantity) AS is_done,
                   pg_catalog.sum(l.fulfilled)::bigint AS sent
            FROM @.order_lines AS l WHERE l.order_id = o.id) AS l ON true)"};
constinit Statement move{R"(
    UPDATE @.orders AS o
    SET status = $2, expires_at = CASE WHEN $2 = 'placed' THEN o.expires_at END
    WHERE o.id = $1)"};
constinit Statement give_back{R"(
    UPDATE @.orders AS o
    SET paid_minor = o.paid_minor - $2, refunded_minor = o.refunded_minor + $2,
        handed_back_minor = o.handed_back_minor + $3
    WHERE o.id = $1)"};
constinit Statement give_back_sum{R"(
    UPDATE @.orders AS o
    SET paid_minor = o.paid_minor - $2, refunded_minor = o.refunded_minor + $2
    WHERE o.id = $1)"};
constinit Statement keep{"UPDATE @.orders AS o SET kept_minor = $2 WHERE o.id = $1"};
constinit Statement ask{"UPDATE @.orders AS o SET asked_minor = $2 WHERE o.id = $1"};
constinit Statement describe_sums{R"(
    SELECT pg_catalog.jsonb_build_object('id', o.id, 'customer_id', o.customer_id, 'user_id', o.user_id,
        'location_id', o.location_id, 'currency', o.currency, 'total_minor', o.total_minor,
        'paid_minor', o.paid_minor)::text
    FROM @.orders AS o
    WHERE o.id = $1)"};
// In the order in which levels are taken.
constinit Statement open_claims{R"(
    SELECT r.id
    FROM @.stock_reservations AS r
    WHERE r.reference_id = $1 AND r.reference_type = 'order' AND r.status = 'held'
        AND EXISTS (SELECT FROM @.order_lines AS l WHERE l.reservation_id = r.id)
    ORDER BY r.product_id, r.location_id, r.id)"};
constinit Statement commit{"UPDATE @.stock_reservations AS r SET status = 'committed' WHERE r.id = $1"};

/// What was paid for is theirs, sent or not.
void commit_stock(const Schema &schema, const Uuid &order) {
    const pg::Rows claims = open_claims.run(schema, {pg::uuid(order)});
    for (std::size_t i = 0; i < claims.size(); ++i) commit.run(schema, {claims[i].param(0)});
}

/// The status that follows from the others, or the same.
std::string_view next_status(std::string_view status, bool is_paid, bool is_done, bool is_sent) {
    if ((status == "placed" || status == "paid") && is_done && !is_sent) return "cancelled";
    if (status == "placed" && is_paid) return "paid";
    if (status == "paid" && is_done) return "fulfilled";
    if (status == "fulfilled" && !is_done) return "paid";
    return status;
}

/// From payments, as far as they have so much beside what is kept; the rest is recorded money, which is handed back as
/// it was taken. What is to be left of payments is told too: of what goes back, some may be on its way already.
void propose_refund(const Schema &schema, const Uuid &order, const pg::Row &row, std::int64_t amount,
                    std::int64_t kept) {
    const std::int64_t by_payments = std::clamp<std::int64_t>(row.int8(11) - kept, 0, amount);
    const bool is_apart = keeps_sums(schema);
    {
        const Ordering now(order);
        if (is_apart)
            give_back.run(schema, {pg::uuid(order), pg::int8(amount), pg::int8(amount - by_payments)});
        else
            give_back_sum.run(schema, {pg::uuid(order), pg::int8(amount)});
    }
    json::Object object;
    object.add("id", order).add("amount_minor", amount).add("currency", row.text(3));
    if (is_apart)
        object.add("left_minor", std::max<std::int64_t>(row.int8(11) - by_payments, 0))
            .add("handed_back_minor", amount - by_payments);
    object.add("customer_id", row.uuid(4)).add("location_id", row.uuid(6));
    object.add("reason", row.is_null(7) ? std::string_view("overpaid") : row.text(7));
    kit::publish("order.refund_proposed", object.text(), to_string(order));
}

/// What is paid too much goes back, but for what has come back from refunds that did not succeed: whether to try again,
/// staff decide.
void return_surplus(const Schema &schema, const Uuid &order, const pg::Row &row, std::int64_t surplus, Cause cause) {
    const std::int64_t kept = cause == Cause::failed_refund ? surplus : std::min(row.int8(12), surplus);
    if (kept != row.int8(12)) {
        const Ordering now(order);
        keep.run(schema, {pg::uuid(order), pg::int8(kept)});
    }
    if (surplus > kept) propose_refund(schema, order, row, surplus - kept, kept);
}

/// Whoever takes payments asks for what they have heard of last. A payment of all of it needs no further word.
void ask_for(const Schema &schema, const Uuid &order, const pg::Row &row, std::int64_t due, Cause cause) {
    if (row.is_null(13) ? due == 0 : row.int8(13) == due) return;
    if (!keeps_sums(schema)) return;
    {
        const Ordering now(order);
        ask.run(schema, {pg::uuid(order), pg::int8(due)});
    }
    if (cause != Cause::change && due == 0) return;
    kit::publish("order.total_changed", describe_sums.run(schema, {pg::uuid(order)}).front().string(0),
                 to_string(order));
}
} // namespace

Ordering::Ordering(const Uuid &order, bool is_placing) : outer_(innermost), order_(order), is_placing_(is_placing) {
    innermost = this;
}
Ordering::~Ordering() { innermost = outer_; }
bool Ordering::runs_for(const Uuid &order) { return innermost != nullptr && innermost->order_ == order; }
bool Ordering::is_placing(const Uuid &order) { return runs_for(order) && innermost->is_placing_; }

bool keeps_sums(const Schema &schema) { return kit::has_column(schema, "orders", "recorded_minor"); }

void settle_order(const Schema &schema, const Uuid &order, Cause cause) {
    const pg::Rows rows = read.run(schema, {pg::uuid(order)});
    if (rows.empty()) refuse_order(order);
    const pg::Row row = rows.front();
    std::string status = row.string(0);
    if (status == "cart") return;
    const bool is_given_up = status == "cancelled" && row.boolean(10); // a cart: its lines cost nobody anything
    const std::int64_t total = is_given_up ? 0 : row.int8(1), paid = row.int8(2);
    const bool is_done = row.boolean(8), is_sent = row.int8(9) > 0;
    for (std::string_view next = next_status(status, paid >= total, is_done, is_sent); next != status;
         next = next_status(status, paid >= total, is_done, is_sent)) {
        if (status == "placed" && next == "paid") commit_stock(schema, order);
        status = next;
        const Ordering now(order);
        move.run(schema, {pg::uuid(order), pg::text(status)});
    }
    return_surplus(schema, order, row, std::max<std::int64_t>(0, paid - total), cause);
    if (status != "cancelled")
        ask_for(schema, order, row, status == "placed" ? std::max<std::int64_t>(0, total - paid) : 0, cause);
}

void refuse_order(const Uuid &order) {
    throw Error(errc::unknown_reference, "order does not exist", json::Object().add("order_id", order).text());
}

} // namespace usher::shop
