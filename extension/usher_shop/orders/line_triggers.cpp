// The row triggers of order_lines. In a cart a line follows the catalogue; from placing on what was agreed stays, and
// only how much of it was sent, cancelled and returned changes. Stock and the order's sums follow. They run for every
// writer.
#include "common/json_object.hpp"
#include "usher_shop/orders/line_totals.hpp"
#include "usher_shop/orders/ordering.hpp"
#include "usher_shop/stock/movement.hpp"
#include <algorithm>

namespace usher::shop {

namespace {
enum Column : std::uint8_t {
    id,
    order_id,
    line_no,
    product_id,
    quantity,
    sku,
    name,
    unit_price_minor,
    tax_rate_ppm,
    tax_included,
    discount_minor,
    granted_minor,
    net_minor,
    tax_minor,
    gross_minor,
    reservation_id,
    fulfilled,
    cancelled,
    returned,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"order_id", UUIDOID},
    ColumnForm{"line_no", INT4OID},
    ColumnForm{"product_id", UUIDOID},
    ColumnForm{"quantity", INT8OID},
    ColumnForm{"sku", TEXTOID},
    ColumnForm{"name", TEXTOID},
    ColumnForm{"unit_price_minor", INT8OID},
    ColumnForm{"tax_rate_ppm", INT4OID},
    ColumnForm{"tax_included", BOOLOID},
    ColumnForm{"discount_minor", INT8OID},
    ColumnForm{"granted_minor", INT8OID},
    ColumnForm{"net_minor", INT8OID},
    ColumnForm{"tax_minor", INT8OID},
    ColumnForm{"gross_minor", INT8OID},
    ColumnForm{"reservation_id", UUIDOID},
    ColumnForm{"fulfilled", INT8OID},
    ColumnForm{"cancelled", INT8OID},
    ColumnForm{"returned", INT8OID},
};
constinit Columns<forms.size()> columns{forms};
constexpr Column agreed[] = {product_id,   quantity,       sku,           name,          unit_price_minor, tax_rate_ppm,
                             tax_included, discount_minor, granted_minor, reservation_id};

constinit Statement lock_order{
    "SELECT o.status, o.currency, o.location_id FROM @.orders AS o WHERE o.id = $1 FOR NO KEY UPDATE"};
constinit Statement last_line{
    "SELECT coalesce(pg_catalog.max(l.line_no), 0) FROM @.order_lines AS l WHERE l.order_id = $1"};
// What a location has of its own goes before what holds everywhere; a row without a value ends it.
constinit Statement look_up{R"(
    SELECT p.status, p.sku, p.name, c.amount_minor, c.tax_included, p.tax_class IS NULL, t.rate_ppm
    FROM @.products AS p
        LEFT JOIN LATERAL (
            SELECT b.amount_minor, b.tax_included
            FROM ((SELECT r.amount_minor, r.tax_included, 1 AS rank FROM @.product_prices AS r
                   WHERE r.product_id = p.id AND r.currency = $2 AND r.location_id = $3
                       AND r.valid_from <= pg_catalog.clock_timestamp()
                   ORDER BY r.valid_from DESC LIMIT 1)
                  UNION ALL
                  (SELECT r.amount_minor, r.tax_included, 2 FROM @.product_prices AS r
                   WHERE r.product_id = p.id AND r.currency = $2
                       AND r.location_id = '00000000-0000-0000-0000-000000000000'
                       AND r.valid_from <= pg_catalog.clock_timestamp()
                   ORDER BY r.valid_from DESC LIMIT 1)) AS b
            WHERE b.amount_minor IS NOT NULL
            ORDER BY b.rank LIMIT 1) AS c ON true
        LEFT JOIN LATERAL (
            SELECT b.rate_ppm
            FROM ((SELECT r.rate_ppm, 1 AS rank FROM @.tax_rates AS r
                   WHERE r.tax_class = p.tax_class AND r.location_id = $3
                       AND r.valid_from <= pg_catalog.clock_timestamp()
                   ORDER BY r.valid_from DESC LIMIT 1)
                  UNION ALL
                  (SELECT r.rate_ppm, 2 FROM @.tax_rates AS r
                   WHERE r.tax_class = p.tax_class AND r.location_id = '00000000-0000-0000-0000-000000000000'
                       AND r.valid_from <= pg_catalog.clock_timestamp()
                   ORDER BY r.valid_from DESC LIMIT 1)) AS b
            WHERE b.rate_ppm IS NOT NULL
            ORDER BY b.rank LIMIT 1) AS t ON true
    WHERE p.id = $1)"};
constinit Statement add_sums{R"(
    UPDATE @.orders AS o
    SET discount_minor = o.discount_minor + $2, net_minor = o.net_minor + $3, tax_minor = o.tax_minor + $4,
        total_minor = o.total_minor + $5
    WHERE o.id = $1)"};
constinit Statement forget_discount{"DELETE FROM @.order_discounts AS d WHERE d.order_id = $1 AND d.line_no = $2"};
constinit Statement lock_reservation{R"(
    SELECT r.committed, r.released, r.returned, r.quantity
    FROM @.stock_reservations AS r
    WHERE r.id = $1 FOR NO KEY UPDATE)"};
constinit Statement move_stock{R"(
    UPDATE @.stock_reservations AS r
    SET committed = $2, released = $3, returned = $4
    WHERE r.id = $1)"};

std::string describe(const TableRow &row) {
    json::Object object;
    object.add("order_id", row.uuid(order_id)).add("product_id", row.uuid(product_id));
    if (!row.is_null(line_no)) object.add("line_no", std::int64_t{row.int4(line_no)});
    object.add("quantity", row.int8(quantity)).add("fulfilled", row.int8(fulfilled));
    return object.add("cancelled", row.int8(cancelled)).add("returned", row.int8(returned)).text();
}

[[noreturn]] void refuse_product(const TableRow &row, const char *message) {
    throw Error(errc::not_for_sale, message, json::Object().add("product_id", row.uuid(product_id)).text());
}

LineTotals compute(const TableRow &row, std::int64_t price, std::int64_t discount, std::int32_t rate,
                   bool is_included) {
    const LinePrice line{row.int8(quantity), row.int8(cancelled) + row.int8(returned), price, discount, rate,
                         is_included};
    if (!line_base(line.quantity, price))
        throw Error(errc::invalid_argument, "a line cannot cost so much",
                    json::Object().add("argument", "quantity").add("quantity", line.quantity).text());
    const std::optional<LineTotals> totals = line_totals(line);
    if (!totals)
        throw Error(errc::invalid_argument, "discount_minor must be between 0 and the price of the line",
                    json::Object().add("argument", "discount_minor").add("discount_minor", line.discount_minor).text());
    return *totals;
}

/// As the catalogue has it now.
HeapTuple follow_catalogue(const Schema &schema, const TableRow &row, const pg::Row &owner, std::int32_t number) {
    if (row.int8(quantity) < 1 || row.int8(quantity) > largest_quantity)
        throw Error(errc::invalid_argument, "quantity must be between 1 and " + std::to_string(largest_quantity),
                    json::Object().add("argument", "quantity").add("quantity", row.int8(quantity)).text());
    const pg::Rows found = look_up.run(schema, {pg::uuid(row.uuid(product_id)), owner.param(1), owner.param(2)});
    if (found.empty())
        throw Error(errc::unknown_reference, "product does not exist",
                    json::Object().add("product_id", row.uuid(product_id)).text());
    const pg::Row product = found.front();
    if (product.text(0) != "active") refuse_product(row, "product is not for sale");
    if (product.is_null(3)) refuse_product(row, "product has no price in this currency");
    const bool is_taxed = !product.boolean(5);
    if (is_taxed && product.is_null(6)) refuse_product(row, "tax class of the product has no rate");
    const std::int32_t rate = is_taxed ? product.int4(6) : 0;
    // What offers have granted takes off no more than the line costs by now. What staff have given is their own doing.
    std::int64_t discount = row.int8(discount_minor);
    std::int64_t granted = std::clamp<std::int64_t>(discount, 0, std::max<std::int64_t>(0, row.int8(granted_minor)));
    const std::int64_t base = line_base(row.int8(quantity), product.int8(3)).value_or(discount);
    const std::int64_t cut = std::clamp<std::int64_t>(discount - base, 0, granted);
    discount -= cut;
    granted -= cut;
    const LineTotals totals = compute(row, product.int8(3), discount, rate, product.boolean(4));
    return row.with({{line_no, pg::int4(number)},
                     {sku, product.param(1)},
                     {name, product.param(2)},
                     {unit_price_minor, product.param(3)},
                     {tax_included, product.param(4)},
                     {tax_rate_ppm, pg::int4(rate)},
                     {discount_minor, pg::int8(discount)},
                     {granted_minor, pg::int8(granted)},
                     {net_minor, pg::int8(totals.net_minor)},
                     {tax_minor, pg::int8(totals.tax_minor)},
                     {gross_minor, pg::int8(totals.gross_minor)}});
}

HeapTuple check_progress(const TableRow &before, const TableRow &row, std::string_view status) {
    const Uuid order = before.uuid(order_id);
    for (const Column each : agreed)
        if (row.differs(before, each) && !(each == reservation_id && Ordering::is_placing(order)))
            throw Error(errc::illegal_transition, "what an order says stays as it was placed", describe(before));
    const bool is_return = row.int8(returned) > before.int8(returned);
    const bool is_open = status == "placed" || status == "paid" || status == "fulfilled";
    const bool is_moved = row.differs(before, fulfilled) || row.differs(before, cancelled);
    if ((is_moved && !is_open) || (is_return && !is_open && status != "completed"))
        throw Error(errc::illegal_transition, "order is " + std::string(status), describe(before));
    const bool is_possible = row.int8(fulfilled) >= row.int8(returned) && row.int8(returned) >= before.int8(returned) &&
                             row.int8(cancelled) >= before.int8(cancelled) &&
                             row.int8(fulfilled) + row.int8(cancelled) <= row.int8(quantity);
    if (!is_possible) throw Error(errc::line_exhausted, "less of the line is left than is asked for", describe(before));
    const LineTotals totals = compute(row, row.int8(unit_price_minor), row.int8(discount_minor), row.int4(tax_rate_ppm),
                                      row.boolean(tax_included));
    return row.with({{net_minor, pg::int8(totals.net_minor)},
                     {tax_minor, pg::int8(totals.tax_minor)},
                     {gross_minor, pg::int8(totals.gross_minor)}});
}

/// What is taken off, which a part that is cancelled takes along.
std::int64_t discount_of(const TableRow &row) {
    return compute(row, row.int8(unit_price_minor), row.int8(discount_minor), row.int4(tax_rate_ppm),
                   row.boolean(tax_included))
        .discount_minor;
}

/// What a line's progress does to its stock. What was paid for is committed before it is sent: then sending it moves
/// nothing more, and what is cancelled of it comes back. All else is reserved until it is sent or given up.
void follow_progress(const Schema &schema, const TableRow &before, const TableRow &row) {
    const Uuid reservation = row.uuid(reservation_id);
    const pg::Rows rows = lock_reservation.run(schema, {pg::uuid(reservation)});
    std::int64_t done = rows.front().int8(0), let_go = rows.front().int8(1), back = rows.front().int8(2);
    const std::int64_t set_aside = done - back - (before.int8(fulfilled) - before.int8(returned));
    const std::int64_t sent = row.int8(fulfilled) - before.int8(fulfilled);
    done += sent > 0 ? std::max<std::int64_t>(0, sent - set_aside) : sent;
    const std::int64_t given_up = row.int8(cancelled) - before.int8(cancelled);
    const std::int64_t free_now = std::min(given_up, rows.front().int8(3) - done - let_go);
    let_go += free_now;
    back += given_up - free_now + row.int8(returned) - before.int8(returned);
    move_stock.run(schema, {pg::uuid(reservation), pg::int8(done), pg::int8(let_go), pg::int8(back)});
}
} // namespace

} // namespace usher::shop

/// _check_order_line(): BEFORE INSERT OR UPDATE on order_lines, for each row
USHER_FUNCTION(usher_shop_check_line) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, true, "order_lines");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers), before(trigger.before(), relation, numbers);
    const Uuid order = row.uuid(order_id);
    if (trigger.is_update && (row.differs(before, order_id) || row.differs(before, line_no) || row.differs(before, id)))
        throw Error(errc::invalid_argument, "a line stays where it is", describe(before));
    const pg::Rows orders = lock_order.run(trigger.schema, {pg::uuid(order)});
    if (orders.empty()) refuse_order(order);
    const pg::Row owner = orders.front();
    if (trigger.is_update && (owner.text(0) != "cart" || Ordering::is_placing(order)))
        return PointerGetDatum(check_progress(before, row, owner.text(0)));
    if (owner.text(0) != "cart")
        throw Error(errc::illegal_transition, "order is " + owner.string(0) + " and takes no more lines",
                    describe(row));
    if (row.int8(fulfilled) != 0 || row.int8(cancelled) != 0 || row.int8(returned) != 0 || !row.is_null(reservation_id))
        throw Error(errc::illegal_transition, "nothing of a cart is reserved, sent or cancelled", describe(row));
    if (trigger.is_update && row.differs(before, product_id))
        throw Error(errc::invalid_argument, "a line stays that of its product", describe(before));
    const std::int32_t number =
        trigger.is_update ? before.int4(line_no) : last_line.run(trigger.schema, {pg::uuid(order)}).front().int4(0) + 1;
    return PointerGetDatum(follow_catalogue(trigger.schema, row, owner, number));
}

/// _guard_order_lines(): BEFORE DELETE for each row, and BEFORE TRUNCATE, on order_lines
USHER_FUNCTION(usher_shop_guard_lines) {
    using namespace usher;
    using namespace usher::shop;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_BEFORE(each.tg_event) &&
               (TRIGGER_FIRED_FOR_ROW(each.tg_event) ? TRIGGER_FIRED_BY_DELETE(each.tg_event)
                                                     : TRIGGER_FIRED_BY_TRUNCATE(each.tg_event));
    };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "BEFORE DELETE for each row, or BEFORE TRUNCATE");
    const Schema schema(fcinfo);
    kit::require_table(data, schema, "order_lines");
    if (kit::is_restoring()) return PointerGetDatum(data->tg_trigtuple);
    if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
        throw Error(errc::illegal_transition, "lines of orders are not removed", "{}");
    const Relation relation = data->tg_relation;
    const TableRow row(data->tg_trigtuple, relation, columns.look_up(relation));
    const pg::Rows orders = lock_order.run(schema, {pg::uuid(row.uuid(order_id))});
    if (orders.empty() || orders.front().text(0) != "cart")
        throw Error(errc::illegal_transition, "lines are taken out of carts only", describe(row),
                    "Cancel what was ordered.");
    return PointerGetDatum(data->tg_trigtuple);
}

/// _follow_order_line(): AFTER INSERT OR UPDATE OR DELETE on order_lines, for each row
USHER_FUNCTION(usher_shop_follow_line) {
    using namespace usher;
    using namespace usher::shop;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_FOR_ROW(each.tg_event) && TRIGGER_FIRED_AFTER(each.tg_event);
    };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "AFTER INSERT OR UPDATE OR DELETE for each row");
    const Schema schema(fcinfo);
    kit::require_table(data, schema, "order_lines");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const bool has_before = !TRIGGER_FIRED_BY_INSERT(data->tg_event);
    const bool has_after = !TRIGGER_FIRED_BY_DELETE(data->tg_event);
    const TableRow before(data->tg_trigtuple, relation, numbers);
    const TableRow after(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple, relation,
                         numbers);
    const auto change = [&](auto &&of) { return (has_after ? of(after) : 0) - (has_before ? of(before) : 0); };
    const auto delta = [&](Column column) { return change([&](const TableRow &row) { return row.int8(column); }); };
    const Uuid order = before.uuid(order_id);
    const bool is_progress =
        has_before && has_after && (delta(fulfilled) != 0 || delta(cancelled) != 0 || delta(returned) != 0);
    if (is_progress && !after.is_null(reservation_id)) follow_progress(schema, before, after);
    // A number that is free is given to another line.
    if (!has_after) forget_discount.run(schema, {pg::uuid(order), pg::int4(before.int4(line_no))});
    // The order is updated even when it costs the same: whoever decides about it by an older snapshot has to try again.
    const std::int64_t discount = change(discount_of), net = delta(net_minor), tax = delta(tax_minor);
    if (is_progress || discount != 0 || net != 0 || tax != 0) {
        const Ordering now(order, Ordering::is_placing(order));
        add_sums.run(schema,
                     {pg::uuid(order), pg::int8(discount), pg::int8(net), pg::int8(tax), pg::int8(delta(gross_minor))});
    }
    return Datum{0};
}
