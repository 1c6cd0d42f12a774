// The row triggers of stock_reservations. A new one takes its quantity of what is available; what is committed leaves,
// what is released is free again, what is returned comes back. Status and amounts follow from each other, so that raw
// SQL can change either. They run for every writer.
#include "common/json_object.hpp"
#include "usher_shop/stock/movement.hpp"

namespace usher::shop {

namespace {
enum Column : std::uint8_t {
    id,
    product_id,
    location_id,
    quantity,
    committed,
    released,
    returned,
    status,
    reference_type,
    reference_id,
    expires_at,
    created_at,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"product_id", UUIDOID},
    ColumnForm{"location_id", UUIDOID},
    ColumnForm{"quantity", INT8OID},
    ColumnForm{"committed", INT8OID},
    ColumnForm{"released", INT8OID},
    ColumnForm{"returned", INT8OID},
    ColumnForm{"status", TEXTOID},
    ColumnForm{"reference_type", TEXTOID},
    ColumnForm{"reference_id", UUIDOID},
    ColumnForm{"expires_at", TIMESTAMPTZOID},
    ColumnForm{"created_at", TIMESTAMPTZOID},
};
constinit Columns<forms.size()> columns{forms};
constexpr Column fixed[] = {id, product_id, location_id, quantity, reference_type, reference_id, created_at};

std::int64_t open_part(const TableRow &row) { return row.int8(quantity) - row.int8(committed) - row.int8(released); }

std::string describe(const TableRow &row) {
    return json::Object()
        .add("reservation_id", row.uuid(id))
        .add("status", row.text(status))
        .add("open", open_part(row))
        .add("committed", row.int8(committed))
        .add("returned", row.int8(returned))
        .text();
}

/// For ever is NULL.
void check_end(const TableRow &row) {
    if (row.is_null(expires_at)) return;
    const Instant end = row.instant(expires_at);
    if (end > pg::furthest_instant || end < -pg::furthest_instant)
        throw Error(errc::invalid_argument, "expires_at must be finite", R"({"argument":"expires_at"})");
}

HeapTuple check_insert(const TableRow &row) {
    if (row.int8(quantity) < 1 || row.int8(quantity) > largest_quantity)
        throw Error(errc::invalid_argument, "quantity must be between 1 and " + std::to_string(largest_quantity),
                    json::Object().add("argument", "quantity").add("quantity", row.int8(quantity)).text());
    if (row.text(status) != "held" || row.int8(committed) != 0 || row.int8(released) != 0 || row.int8(returned) != 0)
        throw Error(errc::illegal_transition, "a new reservation is held", describe(row));
    if (row.is_null(reference_type) != row.is_null(reference_id))
        throw Error(errc::invalid_argument, "reference_type and reference_id belong together",
                    R"({"argument":"reference_id"})");
    if (!row.is_null(reference_type)) require_name(row.text(reference_type), "reference_type");
    check_end(row);
    return row.tuple();
}

struct Amounts {
    std::int64_t committed;
    std::int64_t released;
};

/// What a status asks for, written by itself: all that is open is committed, or let go.
Amounts settle(const TableRow &before, const TableRow &row) {
    const std::string_view to = row.text(status);
    const bool is_held = before.text(status) == "held";
    if (!is_held || (to != "committed" && to != "released" && to != "expired"))
        throw Error(errc::illegal_transition,
                    "reservation is " + std::string(before.text(status)) + " and cannot become " + std::string(to),
                    describe(before));
    if (to == "committed") return {row.int8(committed) + open_part(row), row.int8(released)};
    return {row.int8(committed), row.int8(released) + open_part(row)};
}

bool is_over(const TableRow &row) { return !row.is_null(expires_at) && row.instant(expires_at) <= pg::clock_time(); }

HeapTuple check_update(const TableRow &before, const TableRow &row) {
    for (const Column each : fixed)
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "what is reserved for what cannot change", describe(before));
    check_end(row);
    Amounts now{row.int8(committed), row.int8(released)};
    const bool is_named = row.differs(before, status);
    if (is_named) now = settle(before, row);
    const std::int64_t left = row.int8(quantity) - now.committed - now.released;
    if (left < 0 || now.committed < row.int8(returned) || now.released < before.int8(released) ||
        row.int8(returned) < before.int8(returned))
        throw Error(errc::reservation_over, "less of the reservation is left than is asked for", describe(before));
    if (now.committed > before.int8(committed) && is_over(before))
        throw Error(errc::reservation_over, "reservation has expired", describe(before));
    if (is_named && row.text(status) == "expired" && !is_over(row))
        throw Error(errc::illegal_transition, "reservation has not expired yet", describe(before));
    std::string_view derived = "held";
    if (left == 0) derived = is_named ? row.text(status) : now.committed > 0 ? "committed" : "released";
    return row.with(
        {{committed, pg::int8(now.committed)}, {released, pg::int8(now.released)}, {status, pg::text(derived)}});
}

void move(const Schema &schema, const TableRow &row, std::string_view kind, std::int64_t on_hand_delta,
          std::int64_t reserved_delta) {
    if (on_hand_delta == 0 && reserved_delta == 0) return;
    Movement *const outer = Movement::current();
    Movement movement(kind);
    movement.source_type = "reservation";
    movement.source = row.uuid(id);
    movement.is_claim = true;
    const Level level =
        change_level(schema, {row.uuid(product_id), row.uuid(location_id)}, on_hand_delta, reserved_delta);
    if (outer != nullptr) outer->level = level;
}
} // namespace

} // namespace usher::shop

/// _check_reservation(): BEFORE INSERT OR UPDATE on stock_reservations, for each row
USHER_FUNCTION(usher_shop_check_reservation) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, true, "stock_reservations");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (!trigger.is_update) return PointerGetDatum(check_insert(row));
    return PointerGetDatum(check_update(TableRow(trigger.before(), relation, numbers), row));
}

/// _follow_reservation(): AFTER INSERT OR UPDATE on stock_reservations, for each row
USHER_FUNCTION(usher_shop_follow_reservation) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, false, "stock_reservations");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (!trigger.is_update) {
        move(trigger.schema, row, "reserve", 0, row.int8(quantity));
        return Datum{0};
    }
    const TableRow before(trigger.before(), relation, numbers);
    const std::int64_t sent = row.int8(committed) - before.int8(committed);
    const std::int64_t let_go = row.int8(released) - before.int8(released);
    // What was sent and is taken back into the reservation is claimed as it was.
    move(trigger.schema, row, sent > 0 ? "sale" : "return", -sent, -sent);
    move(trigger.schema, row, "release", 0, -let_go);
    move(trigger.schema, row, "return", row.int8(returned) - before.int8(returned), 0);
    return Datum{0};
}
