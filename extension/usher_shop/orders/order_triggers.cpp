// The row triggers of orders and order_events. Status and sums of an order are written by its rules only; every change
// of its status is an event; events are numbered without gaps, and never changed.
#include "common/json_object.hpp"
#include "usher_shop/orders/ordering.hpp"
#include <algorithm>

namespace usher::shop {

namespace {
enum Column : std::uint8_t {
    id,
    customer_id,
    user_id,
    location_id,
    currency,
    status,
    net_minor,
    discount_minor,
    tax_minor,
    total_minor,
    paid_minor,
    refunded_minor,
    event_count,
    placed_at,
    created_at,
    reason_code,
    reference_type,
    reference_id,
    version,
    recorded_minor,
    handed_back_minor,
    kept_minor,
    asked_minor,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"customer_id", UUIDOID},
    ColumnForm{"user_id", UUIDOID},
    ColumnForm{"location_id", UUIDOID},
    ColumnForm{"currency", TEXTOID},
    ColumnForm{"status", TEXTOID},
    ColumnForm{"net_minor", INT8OID},
    ColumnForm{"discount_minor", INT8OID},
    ColumnForm{"tax_minor", INT8OID},
    ColumnForm{"total_minor", INT8OID},
    ColumnForm{"paid_minor", INT8OID},
    ColumnForm{"refunded_minor", INT8OID},
    ColumnForm{"event_count", INT4OID},
    ColumnForm{"placed_at", TIMESTAMPTZOID},
    ColumnForm{"created_at", TIMESTAMPTZOID},
    ColumnForm{"reason_code", TEXTOID},
    ColumnForm{"reference_type", TEXTOID},
    ColumnForm{"reference_id", UUIDOID},
    ColumnForm{"version", INT4OID},
    ColumnForm{"recorded_minor", INT8OID, true},
    ColumnForm{"handed_back_minor", INT8OID, true},
    ColumnForm{"kept_minor", INT8OID, true},
    ColumnForm{"asked_minor", INT8OID, true},
};
constinit Columns<forms.size()> columns{forms};
constexpr Column fixed[] = {id, customer_id, location_id, currency, created_at};
constexpr Column derived[] = {
    status,      net_minor, discount_minor, tax_minor,         total_minor, paid_minor, refunded_minor,
    event_count, placed_at, recorded_minor, handed_back_minor, kept_minor,  asked_minor};

enum EventColumn : std::uint8_t { event_order, event_seq, event_actor, event_at };
constexpr std::array event_forms{ColumnForm{"order_id", UUIDOID}, ColumnForm{"seq", INT4OID},
                                 ColumnForm{"actor_id", UUIDOID}, ColumnForm{"created_at", TIMESTAMPTZOID}};
constinit Columns<event_forms.size()> event_columns{event_forms};

constinit Statement next_number{R"(
    UPDATE @.orders AS o
    SET event_count = o.event_count + 1
    WHERE o.id = $1
    RETURNING o.event_count)"};
constinit Statement tell{R"(
    INSERT INTO @.order_events (order_id, event, from_status, to_status, reason_code)
    VALUES ($1, 'status', $2, $3, $4))"};

constinit Statement read_lines{"SELECT @._order_lines_json($1)::text"};

// What is published when a status was reached; a cart is nobody's business yet, but for those who have given it
// something.
struct Passage {
    std::string_view from, to, event, action;
};
constexpr Passage passages[] = {{"cart", "placed", "order.placed", "place"},
                                {"placed", "paid", "order.paid", "pay"},
                                {"fulfilled", "paid", "order.recalled", "recall"},
                                {"paid", "fulfilled", "order.fulfilled", "fulfil"},
                                {"fulfilled", "completed", "order.completed", "complete"},
                                {"placed", "cancelled", "order.cancelled", "cancel"},
                                {"paid", "cancelled", "order.cancelled", "cancel"},
                                {"cart", "cancelled", "order.abandoned", "give_up"}};
constinit Statement has_discounts{
    "SELECT EXISTS (SELECT FROM @.order_discounts AS d WHERE d.order_id = $1)"}; // that somebody has used up for it

void publish(const Schema &schema, const TableRow &before, const TableRow &row) {
    const auto fits = [&](const Passage &each) {
        return each.from == before.text(status) && each.to == row.text(status);
    };
    const auto *const passage = std::find_if(std::begin(passages), std::end(passages), fits);
    if (passage == std::end(passages)) return;
    const Uuid order = row.uuid(id);
    if (passage->from == "cart" && passage->to == "cancelled" &&
        !has_discounts.run(schema, {pg::uuid(order)}).front().boolean(0))
        return;
    const auto add_text = [&](json::Object &object, const char *name, Column column) {
        if (row.is_null(column))
            object.add_json(name, "null");
        else
            object.add(name, row.text(column));
    };
    const auto add_uuid = [](json::Object &object, const char *name, const std::optional<Uuid> &value) {
        if (value)
            object.add(name, *value);
        else
            object.add_json(name, "null");
    };
    json::Object object;
    object.add("id", order).add("from", passage->from).add("to", passage->to).add("action", passage->action);
    add_text(object, "reason_code", reason_code);
    object.add("version", std::int64_t{row.int4(version)});
    add_uuid(object, "actor_id", kit::current_user());
    object.add("customer_id", row.uuid(customer_id));
    add_uuid(object, "user_id", row.optional_uuid(user_id));
    object.add("location_id", row.uuid(location_id)).add("status", row.text(status));
    object.add("currency", row.text(currency)).add("discount_minor", row.int8(discount_minor));
    object.add("total_minor", row.int8(total_minor)).add("paid_minor", row.int8(paid_minor));
    object.add("refunded_minor", row.int8(refunded_minor));
    add_text(object, "reference_type", reference_type);
    add_uuid(object, "reference_id", row.optional_uuid(reference_id));
    object.add_json("lines", read_lines.run(schema, {pg::uuid(order)}).front().text(0));
    kit::publish(passage->event, object.text(), to_string(order));
}

constinit bool forgets = false; // payloads of order_events, for erasure

[[noreturn]] void refuse_by_hand(const TableRow &row) {
    throw Error(errc::not_permitted, "status and sums of an order follow from its lines and payments",
                json::Object().add("order_id", row.uuid(id)).text(), "Change lines, or call the functions for orders.");
}
} // namespace

} // namespace usher::shop

/// _check_order(): BEFORE INSERT OR UPDATE on orders, for each row
USHER_FUNCTION(usher_shop_check_order) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, true, "orders");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (!trigger.is_update) {
        kit::require_currency(row.text(currency));
        const bool is_empty = row.text(status) == "cart" && row.int8(total_minor) == 0 && row.int8(paid_minor) == 0 &&
                              row.int8(net_minor) == 0 && row.int8(refunded_minor) == 0 && row.int8(tax_minor) == 0 &&
                              row.int8(discount_minor) == 0 && row.int4(event_count) == 0 && row.is_null(placed_at) &&
                              row.int8(recorded_minor) == 0 && row.int8(handed_back_minor) == 0 &&
                              row.int8(kept_minor) == 0 && row.is_null(asked_minor);
        if (!is_empty) refuse_by_hand(row);
        return PointerGetDatum(row.tuple());
    }
    const TableRow before(trigger.before(), relation, numbers);
    for (const Column each : fixed)
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "who orders where in which currency cannot change",
                        json::Object().add("order_id", before.uuid(id)).text());
    if (Ordering::runs_for(before.uuid(id))) return PointerGetDatum(row.tuple());
    for (const Column each : derived)
        if (row.differs(before, each)) refuse_by_hand(before);
    return PointerGetDatum(row.tuple());
}

/// _follow_order(): AFTER INSERT OR UPDATE on orders, for each row
USHER_FUNCTION(usher_shop_follow_order) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, false, "orders");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers), before(trigger.before(), relation, numbers);
    if (trigger.is_update && !row.differs(before, status)) return Datum{0};
    tell.run(trigger.schema,
             {pg::uuid(row.uuid(id)), trigger.is_update ? pg::text(before.text(status)) : pg::null(TEXTOID),
              pg::text(row.text(status)),
              pg::text_unless_empty(row.text(status) == "cancelled" ? row.text(reason_code) : "")});
    if (trigger.is_update) publish(trigger.schema, before, row);
    return Datum{0};
}

/// _guard_order_events(): BEFORE INSERT OR UPDATE OR DELETE for each row, and BEFORE TRUNCATE, on order_events
USHER_FUNCTION(usher_shop_guard_events) {
    using namespace usher;
    using namespace usher::shop;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_BEFORE(each.tg_event) &&
               (TRIGGER_FIRED_FOR_ROW(each.tg_event) || TRIGGER_FIRED_BY_TRUNCATE(each.tg_event));
    };
    const TriggerData *const data =
        pg::require_trigger(fcinfo, fits, "BEFORE INSERT OR UPDATE OR DELETE for each row, or BEFORE TRUNCATE");
    const Schema schema(fcinfo);
    kit::require_table(data, schema, "order_events");
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    const Datum unchanged = PointerGetDatum(is_update ? data->tg_newtuple : data->tg_trigtuple);
    if (kit::is_restoring() || (is_update && forgets)) return unchanged;
    if (!TRIGGER_FIRED_BY_INSERT(data->tg_event))
        throw Error(errc::order_event_fixed, "events of orders are only added", "{}");
    const Relation relation = data->tg_relation;
    const TableRow row(data->tg_trigtuple, relation, event_columns.look_up(relation));
    const Uuid order = row.uuid(event_order);
    const std::optional<Uuid> actor = kit::current_user();
    pg::Rows numbered;
    {
        const Ordering now(order, Ordering::is_placing(order));
        numbered = next_number.run(schema, {pg::uuid(order)});
    }
    if (numbered.empty()) refuse_order(order);
    return PointerGetDatum(row.with({{event_seq, numbered.front().param(0)},
                                     {event_actor, pg::uuid_or_null(actor ? &*actor : nullptr)},
                                     {event_at, pg::timestamptz(pg::clock_time())}}));
}

namespace usher::shop {
namespace {
constinit Statement forget{R"(
    UPDATE @.order_events AS e
    SET payload = '{}'
    WHERE e.order_id = ANY ($1) AND e.payload <> '{}')"};

class Forgetting {
public:
    Forgetting() { forgets = true; }
    ~Forgetting() { forgets = false; }
    Forgetting(const Forgetting &) = delete;
    Forgetting &operator=(const Forgetting &) = delete;
};
} // namespace
} // namespace usher::shop

/// _forget_order_events(order_ids uuid[]): what applications have written down about erased customers
USHER_FUNCTION(usher_shop_forget_events) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const std::vector<Uuid> orders = args.uuid_array(0);
    const Forgetting now;
    const std::uint64_t changed = forget.run(Schema(fcinfo), {pg::uuid_array(orders)}).processed();
    return pg::result(pg::int8(static_cast<std::int64_t>(changed)));
}
