// A cart becomes an order: what it says is fixed as the catalogue has it now, its stock is reserved, and whoever takes
// payments hears of it; all of that or nothing.
#include "common/json_object.hpp"
#include "usher_shop/orders/ordering.hpp"

namespace usher::shop {

namespace {
constinit Statement lock_order{R"(
    SELECT o.status, o.customer_id, o.location_id, o.currency
    FROM @.orders AS o
    WHERE o.id = $1 FOR NO KEY UPDATE)"};
// Whoever takes one of them off sale waits until the order is placed, or is waited for.
constinit Statement lock_products{R"(
    SELECT p.id
    FROM @.products AS p
    WHERE p.id IN (SELECT l.product_id FROM @.order_lines AS l WHERE l.order_id = $1)
    ORDER BY p.id FOR SHARE)"};
constinit Statement look_again{"UPDATE @.order_lines AS l SET quantity = l.quantity WHERE l.order_id = $1"};
constinit Statement read_total{"SELECT o.total_minor FROM @.orders AS o WHERE o.id = $1"};
constinit Statement read_stocked{R"(
    SELECT l.id, l.product_id, l.quantity
    FROM @.order_lines AS l JOIN @.products AS p ON p.id = l.product_id
    WHERE l.order_id = $1 AND p.track_stock
    ORDER BY l.product_id, l.line_no)"};
constinit Statement reserve{R"(
    INSERT INTO @.stock_reservations (id, product_id, location_id, quantity, reference_type, reference_id, created_by)
    VALUES ($1, $2, $3, $4, 'order', $5, $6))"};
constinit Statement note{"UPDATE @.order_lines AS l SET reservation_id = $2 WHERE l.id = $1"};
constinit Statement place{R"(
    UPDATE @.orders AS o
    SET status = 'placed', placed_at = pg_catalog.clock_timestamp(),
        expires_at = pg_catalog.clock_timestamp() + $2, asked_minor = greatest(o.total_minor - o.paid_minor, 0)
    WHERE o.id = $1)"};
constinit Statement place_unasked{R"(
    UPDATE @.orders AS o
    SET status = 'placed', placed_at = pg_catalog.clock_timestamp(), expires_at = pg_catalog.clock_timestamp() + $2
    WHERE o.id = $1)"};

constinit Statement read_lines{R"(
    SELECT @._order_lines_json($1)::text,
           (SELECT coalesce(pg_catalog.sum(l.quantity * l.unit_price_minor), 0)::bigint
            FROM @.order_lines AS l WHERE l.order_id = $1))"};

void reserve_all(const Schema &schema, const Uuid &order, const Uuid &location) {
    const std::optional<Uuid> actor = kit::current_user();
    const pg::Rows lines = read_stocked.run(schema, {pg::uuid(order)});
    const Ordering placing(order, true);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const Uuid reservation = pg::new_uuid();
        reserve.run(schema, {pg::uuid(reservation), lines[i].param(1), pg::uuid(location), lines[i].param(2),
                             pg::uuid(order), pg::uuid_or_null(actor ? &*actor : nullptr)});
        note.run(schema, {lines[i].param(0), pg::uuid(reservation)});
    }
}

/// As the catalogue has it now, with what offers take off, for whoever wants to place it or to see what it would cost.
std::int64_t price(const Schema &schema, const Uuid &order, const pg::Row &row) {
    if (row.text(0) != "cart")
        throw Error(errc::illegal_transition, "order is " + row.string(0) + " already",
                    json::Object().add("order_id", order).add("status", row.text(0)).text());
    lock_products.run(schema, {pg::uuid(order)});
    if (look_again.run(schema, {pg::uuid(order)}).processed() == 0)
        throw Error(errc::invalid_argument, "an order needs a line", json::Object().add("order_id", order).text());
    spread_discounts(schema, order);
    const pg::Rows lines = read_lines.run(schema, {pg::uuid(order)});
    // Whoever has offers to give gives them now, by loyalty.discount_granted.
    json::Object object;
    object.add("id", order).add("customer_id", row.uuid(1)).add("location_id", row.uuid(2));
    object.add("currency", row.text(3)).add("amount_minor", lines.front().int8(1));
    object.add_json("lines", lines.front().text(0));
    kit::publish("order.placing", object.text(), to_string(order));
    return read_total.run(schema, {pg::uuid(order)}).front().int8(0);
}
} // namespace

} // namespace usher::shop

/// _price_order(order_id uuid): the total
USHER_FUNCTION(usher_shop_price_order) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid order = args.uuid(0);
    const pg::Rows orders = lock_order.run(schema, {pg::uuid(order)});
    if (orders.empty()) refuse_order(order);
    return pg::result(pg::int8(price(schema, order, orders.front())));
}

/// _place_order(order_id uuid, expected_total_minor bigint, payment_time interval)
USHER_FUNCTION(usher_shop_place_order) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid order = args.uuid(0);
    const pg::Rows orders = lock_order.run(schema, {pg::uuid(order)});
    if (orders.empty()) refuse_order(order);
    const pg::Row row = orders.front();
    const std::int64_t total = price(schema, order, row);
    if (!args.is_null(1) && args.int8(1) != total)
        throw Error(errc::price_changed, "the order costs another sum by now",
                    json::Object()
                        .add("order_id", order)
                        .add("expected_total_minor", args.int8(1))
                        .add("total_minor", total)
                        .add("currency", row.text(3))
                        .text(),
                    "preview_order() tells what it costs.");
    reserve_all(schema, order, row.uuid(2));
    {
        const Ordering now(order);
        (keeps_sums(schema) ? place : place_unasked).run(schema, {pg::uuid(order), pg::interval(args.interval_us(2))});
    }
    settle_order(schema, order);
    return pg::null_result(fcinfo);
}

namespace usher::shop {
namespace {
constinit Statement lock{"SELECT o.id FROM @.orders AS o WHERE o.id = $1 FOR NO KEY UPDATE"};
constinit Statement pay{R"(
    UPDATE @.orders AS o
    SET recorded_minor = o.recorded_minor + $4,
        paid_minor = $4 + CASE WHEN $2 IS NULL THEN o.paid_minor
                               ELSE o.recorded_minor - o.handed_back_minor + $2 END,
        refunded_minor = coalesce(o.handed_back_minor + $3, o.refunded_minor)
    WHERE o.id = $1)"};
constinit Statement pay_sum{R"(
    UPDATE @.orders AS o
    SET paid_minor = $2, refunded_minor = coalesce($3, o.refunded_minor)
    WHERE o.id = $1)"};
constinit Statement finish{"UPDATE @.orders AS o SET status = $2 WHERE o.id = $1"};
} // namespace
} // namespace usher::shop

/// _hold_customer(user_id uuid)
USHER_FUNCTION(usher_shop_hold_customer) {
    using namespace usher;
    const Uuid user = pg::Args(fcinfo).uuid(0);
    if (kit::lock_user(user) != kit::UserState::active)
        throw Error(errc::unknown_reference, "customer does not exist", json::Object().add("customer_id", user).text());
    return pg::null_result(fcinfo);
}

/// _settle_order(order_id uuid, paid_minor bigint, refunded_minor bigint, recorded_minor bigint, cause text): what is
/// paid by payments, less what goes back, and that (NULL leaves it as it is); and money of which they know nothing
USHER_FUNCTION(usher_shop_settle_order) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid order = args.uuid(0);
    if (lock.run(schema, {pg::uuid(order)}).empty()) refuse_order(order);
    const bool is_whole = fcinfo->nargs > 3; // 0.9.0 has declared three
    const std::int64_t recorded = is_whole ? args.int8(3) : 0;
    if (!args.is_null(1) || recorded != 0) {
        const Ordering now(order);
        const auto sum = [&](int argument) {
            return args.is_null(argument) ? pg::null(INT8OID) : pg::int8(args.int8(argument));
        };
        if (is_whole)
            pay.run(schema, {pg::uuid(order), sum(1), sum(2), pg::int8(recorded)});
        else
            pay_sum.run(schema, {pg::uuid(order), sum(1), sum(2)});
    }
    const std::string_view event = is_whole ? args.text(4) : std::string_view();
    const bool is_failed = event == "refund.failed" || event == "refund.cancelled";
    settle_order(schema, order, is_failed ? Cause::failed_refund : event.empty() ? Cause::change : Cause::payment);
    return pg::null_result(fcinfo);
}

/// _end_order(order_id uuid, status text): completed, or a cart that is given up
USHER_FUNCTION(usher_shop_end_order) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const Uuid order = args.uuid(0);
    const Schema schema(fcinfo);
    {
        const Ordering now(order);
        finish.run(schema, {pg::uuid(order), pg::text(args.text(1))});
    }
    settle_order(schema, order); // what was paid for a cart goes back
    return pg::null_result(fcinfo);
}
