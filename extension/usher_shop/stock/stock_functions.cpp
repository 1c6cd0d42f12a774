// What functions in SQL ask for: one movement of one level, and a roll-up of old rows of the log.
#include "usher_shop/stock/movement.hpp"

namespace usher::shop {

namespace {
constinit Statement roll_up{R"(
    WITH old AS (
        DELETE FROM @.inventory_logs_default AS d
        WHERE (d.product_id, d.location_id, d.id) IN (
            SELECT o.product_id, o.location_id, o.id FROM @.inventory_logs_default AS o
            WHERE o.created_at < $1 LIMIT $2)
        RETURNING d.product_id, d.location_id, d.on_hand_delta, d.reserved_delta),
    sums AS (
        SELECT o.product_id, o.location_id, pg_catalog.sum(o.on_hand_delta)::bigint AS on_hand,
               pg_catalog.sum(o.reserved_delta)::bigint AS reserved, pg_catalog.count(*) AS rows
        FROM old AS o
        GROUP BY o.product_id, o.location_id),
    kept AS (
        INSERT INTO @.inventory_openings AS p (product_id, location_id, on_hand, reserved, until)
        SELECT s.product_id, s.location_id, s.on_hand, s.reserved, $1
        FROM sums AS s
        ON CONFLICT (product_id, location_id) DO UPDATE
        SET on_hand = p.on_hand + excluded.on_hand, reserved = p.reserved + excluded.reserved, until = excluded.until)
    SELECT coalesce(pg_catalog.sum(s.rows), 0)::bigint FROM sums AS s)"};
} // namespace

} // namespace usher::shop

/// _move_stock(product_id, location_id, delta, movement, source_type, source_id, reason_code, unit_cost_minor)
USHER_FUNCTION(usher_shop_move_stock) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    Movement movement(args.text(3));
    movement.source_type = args.optional_text(4).value_or("");
    movement.source = args.optional_uuid(5);
    movement.reason_code = args.optional_text(6).value_or("");
    if (!args.is_null(7)) movement.unit_cost_minor = args.int8(7);
    if (!movement.source_type.empty()) require_name(movement.source_type, "source_type");
    if (!movement.reason_code.empty()) require_name(movement.reason_code, "reason_code");
    if (movement.unit_cost_minor && *movement.unit_cost_minor < 0)
        throw Error(errc::invalid_argument, "unit_cost_minor must not be negative",
                    R"({"argument":"unit_cost_minor"})");
    const std::int64_t delta = args.int8(2);
    if (delta < -largest_quantity || delta > largest_quantity || delta == 0)
        throw Error(errc::invalid_argument, "quantity must be between 1 and " + std::to_string(largest_quantity),
                    R"({"argument":"quantity"})");
    const Level level = change_level(Schema(fcinfo), {args.uuid(0), args.uuid(1)}, delta, 0);
    pg::RowBuilder row(fcinfo);
    row.set("on_hand", pg::int8(level.on_hand)).set("reserved", pg::int8(level.reserved));
    row.set("available", pg::int8(level.on_hand - level.reserved)).set("log_id", pg::uuid(movement.log_id));
    return row.finish();
}

/// _roll_up_default(before timestamptz, max_rows integer)
USHER_FUNCTION(usher_shop_roll_up_default) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const LogWriting now(LogWriting::Kind::roll_up);
    const pg::Rows rows = roll_up.run(Schema(fcinfo), {pg::timestamptz(args.time(0)), pg::int8(args.int4(1))});
    return pg::result(pg::int8(rows.front().int8(0)));
}
