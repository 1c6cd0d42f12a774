// The row triggers of order_lines. In a cart a line follows the catalogue; from placing on what was agreed stays, and
// only how much of it was sent, cancelled and returned changes. Stock and the order's sums follow. They run for every
// writer.
#include "common/json_object.hpp"
#include "usher_shop/orders/line_totals.hpp"
#include "usher_shop/orders/ordering.hpp"
#include "usher_shop/stock/movement.hpp"

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
    net_minor,
    tax_minor,
    gross_minor,
    reservation_id,
    fulfilled,
    cancelled,
    returned,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},           ColumnForm{"order_id", UUIDOID},         ColumnForm{"line_no", INT4OID},
    ColumnForm{"product_id", UUIDOID},   ColumnForm{"quantity", INT8OID},         ColumnForm{"sku", TEXTOID},
    ColumnForm{"name", TEXTOID},         ColumnForm{"unit_price_minor", INT8OID}, ColumnForm{"tax_rate_ppm", INT4OID},
    ColumnForm{"tax_included", BOOLOID}, ColumnForm{"discount_minor", INT8OID},   ColumnForm{"net_minor", INT8OID},
    ColumnForm{"tax_minor", INT8OID},    ColumnForm{"gross_minor", INT8OID},      ColumnForm{"reservation_id", UUIDOID},
    ColumnForm{"fulfilled", INT8OID},    ColumnForm{"cancelled", INT8OID},        ColumnForm{"returned", INT8OID},
};
constinit Columns<forms.size()> columns{forms};
constexpr Column agreed[] = {product_id,   quantity,       sku,           name, unit_price_minor, tax_rate_ppm,
                             tax_included, discount_minor, reservation_id};

constinit Statement lock_order{"SELECT o.status, o.currency FROM @.orders AS o WHERE o.id = $1 FOR NO KEY UPDATE"};
constinit Statement last_line{
    "SELECT coalesce(pg_catalog.max(l.line_no), 0) FROM @.order_lines AS l WHERE l.order_id = $1"};
constinit Statement look_up{R"(
    SELECT p.status, p.sku, p.name, c.amount_minor, c.tax_included, p.tax_class IS NULL, t.rate_ppm
    FROM @.products AS p
        LEFT JOIN LATERAL (
            SELECT r.amount_minor, r.tax_included FROM @.product_prices AS r
            WHERE r.product_id = p.id AND r.currency = $2 AND r.valid_from <= pg_catalog.clock_timestamp()
            ORDER BY r.valid_from DESC LIMIT 1) AS c ON true
        LEFT JOIN LATERAL (
            SELECT r.rate_ppm FROM @.tax_rates AS r
            WHERE r.tax_class = p.tax_class AND r.valid_from <= pg_catalog.clock_timestamp()
            ORDER BY r.valid_from DESC LIMIT 1) AS t ON true
    WHERE p.id = $1)"};
constinit Statement add_sums{R"(
    UPDATE @.orders AS o
    SET discount_minor = o.discount_minor + $2, net_minor = o.net_minor + $3, tax_minor = o.tax_minor + $4,
        total_minor = o.total_minor + $5
    WHERE o.id = $1)"};
constinit Statement move_stock{R"(
    UPDATE @.stock_reservations AS r
    SET committed = r.committed + $2, released = r.released + $3, returned = r.returned + $4
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

LineTotals compute(const TableRow &row, std::int64_t price, std::int32_t rate, bool is_included) {
    const LinePrice line{
        row.int8(quantity), row.int8(cancelled) + row.int8(returned), price, row.int8(discount_minor), rate,
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
HeapTuple follow_catalogue(const Schema &schema, const TableRow &row, const pg::Param &currency, std::int32_t number) {
    if (row.int8(quantity) < 1 || row.int8(quantity) > largest_quantity)
        throw Error(errc::invalid_argument, "quantity must be between 1 and " + std::to_string(largest_quantity),
                    json::Object().add("argument", "quantity").add("quantity", row.int8(quantity)).text());
    const pg::Rows found = look_up.run(schema, {pg::uuid(row.uuid(product_id)), currency});
    if (found.empty())
        throw Error(errc::unknown_reference, "product does not exist",
                    json::Object().add("product_id", row.uuid(product_id)).text());
    const pg::Row product = found.front();
    if (product.text(0) != "active") refuse_product(row, "product is not for sale");
    if (product.is_null(3)) refuse_product(row, "product has no price in this currency");
    const bool is_taxed = !product.boolean(5);
    if (is_taxed && product.is_null(6)) refuse_product(row, "tax class of the product has no rate");
    const std::int32_t rate = is_taxed ? product.int4(6) : 0;
    const LineTotals totals = compute(row, product.int8(3), rate, product.boolean(4));
    return row.with({{line_no, pg::int4(number)},
                     {sku, product.param(1)},
                     {name, product.param(2)},
                     {unit_price_minor, product.param(3)},
                     {tax_included, product.param(4)},
                     {tax_rate_ppm, pg::int4(rate)},
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
    const LineTotals totals =
        compute(row, row.int8(unit_price_minor), row.int4(tax_rate_ppm), row.boolean(tax_included));
    return row.with({{net_minor, pg::int8(totals.net_minor)},
                     {tax_minor, pg::int8(totals.tax_minor)},
                     {gross_minor, pg::int8(totals.gross_minor)}});
}

/// What is taken off, which a part that is cancelled takes along.
std::int64_t discount_of(const TableRow &row) {
    return compute(row, row.int8(unit_price_minor), row.int4(tax_rate_ppm), row.boolean(tax_included)).discount_minor;
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
    return PointerGetDatum(follow_catalogue(trigger.schema, row, owner.param(1), number));
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
    if (kit::is_restoring()) return PointerGetDatum(nullptr);
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
    const std::int64_t sent = delta(fulfilled), let_go = delta(cancelled), back = delta(returned);
    const bool is_progress = has_before && has_after && (sent != 0 || let_go != 0 || back != 0);
    if (is_progress && !after.is_null(reservation_id))
        move_stock.run(schema,
                       {pg::uuid(after.uuid(reservation_id)), pg::int8(sent), pg::int8(let_go), pg::int8(back)});
    // The order is updated even when it costs the same: whoever decides about it by an older snapshot has to try again.
    const std::int64_t discount = change(discount_of), net = delta(net_minor), tax = delta(tax_minor);
    if (is_progress || discount != 0 || net != 0 || tax != 0) {
        const Ordering now(order, Ordering::is_placing(order));
        add_sums.run(schema,
                     {pg::uuid(order), pg::int8(discount), pg::int8(net), pg::int8(tax), pg::int8(delta(gross_minor))});
    }
    return PointerGetDatum(nullptr);
}
