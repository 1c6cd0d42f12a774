// The triggers of stock_levels: what is reserved follows from reservations, every change is logged, and running low or
// out is told once. They run for every writer.
#include "common/json_object.hpp"
#include "usher_shop/stock/movement.hpp"

namespace usher::shop {

namespace {
enum Column : std::uint8_t { product_id, location_id, on_hand, reserved, low_threshold, backorder_limit };
constexpr std::array forms{ColumnForm{"product_id", UUIDOID},    ColumnForm{"location_id", UUIDOID},
                           ColumnForm{"on_hand", INT8OID},       ColumnForm{"reserved", INT8OID},
                           ColumnForm{"low_threshold", INT8OID}, ColumnForm{"backorder_limit", INT8OID}};
constinit Columns<forms.size()> columns{forms};

constinit Statement log{R"(
    INSERT INTO @.inventory_logs (id, product_id, location_id, movement, on_hand_delta, reserved_delta, on_hand_after,
                                  reserved_after, unit_cost_minor, source_type, source_id, reason_code, actor_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))"};

std::string describe(const TableRow &row) {
    return json::Object()
        .add("product_id", row.uuid(product_id))
        .add("location_id", row.uuid(location_id))
        .add("on_hand", row.int8(on_hand))
        .add("reserved", row.int8(reserved))
        .text();
}

void check(const TableRow *before, const TableRow &row) {
    const Movement *const movement = Movement::current();
    if (before != nullptr && (row.differs(*before, product_id) || row.differs(*before, location_id)))
        throw Error(errc::inventory_fixed, "a stock level stays that of its product and location", describe(*before));
    const std::int64_t claimed_before = before != nullptr ? before->int8(reserved) : 0;
    if (row.int8(reserved) != claimed_before && (movement == nullptr || !movement->is_claim))
        throw Error(errc::not_permitted, "what is reserved follows from reservations", describe(row),
                    "Insert or change a row of stock_reservations.");
    const std::int64_t there = row.int8(on_hand), claimed = row.int8(reserved);
    if (there < -largest_quantity || there > largest_quantity || claimed > largest_quantity)
        throw Error(errc::invalid_argument, "a stock level has at most " + std::to_string(largest_quantity) + " units",
                    describe(row));
    for (const Column each : {low_threshold, backorder_limit})
        if (row.int8(each) < 0 || row.int8(each) > largest_quantity)
            throw Error(errc::invalid_argument,
                        "limits of a stock level are between 0 and " + std::to_string(largest_quantity), describe(row));
    if (there - claimed < -row.int8(backorder_limit))
        throw Error(errc::stock_reserved, "less would be there than is reserved", describe(row));
}

void write_log(const Schema &schema, const TableRow &row, std::int64_t on_hand_delta, std::int64_t reserved_delta) {
    Movement *const movement = Movement::current();
    const std::optional<Uuid> actor = kit::current_user();
    const Uuid id = pg::new_uuid();
    const LogWriting now(LogWriting::Kind::add);
    log.run(schema, {pg::uuid(id), pg::uuid(row.uuid(product_id)), pg::uuid(row.uuid(location_id)),
                     pg::text(movement != nullptr ? movement->kind : "adjustment"), pg::int8(on_hand_delta),
                     pg::int8(reserved_delta), pg::int8(row.int8(on_hand)), pg::int8(row.int8(reserved)),
                     movement != nullptr && movement->unit_cost_minor ? pg::int8(*movement->unit_cost_minor)
                                                                      : pg::null(INT8OID),
                     pg::text_unless_empty(movement != nullptr ? movement->source_type : ""),
                     pg::uuid_or_null(movement != nullptr && movement->source ? &*movement->source : nullptr),
                     pg::text_unless_empty(movement != nullptr ? movement->reason_code : "by_hand"),
                     pg::uuid_or_null(actor ? &*actor : nullptr)});
    if (movement != nullptr) movement->log_id = id;
}

/// Once for each crossing: it was above before, and is not any more.
void tell(const TableRow &row, std::int64_t available_before) {
    const std::int64_t available = row.int8(on_hand) - row.int8(reserved), threshold = row.int8(low_threshold);
    const bool is_out = available <= 0 && available_before > 0;
    const bool is_low = threshold > 0 && available <= threshold && available_before > threshold;
    if (!is_out && !is_low) return;
    const std::string key = to_string(row.uuid(product_id));
    const std::string payload = json::Object()
                                    .add("product_id", row.uuid(product_id))
                                    .add("location_id", row.uuid(location_id))
                                    .add("on_hand", row.int8(on_hand))
                                    .add("reserved", row.int8(reserved))
                                    .add("available", available)
                                    .add("low_threshold", threshold)
                                    .text();
    if (is_low) kit::publish("stock.low", payload, key);
    if (is_out) kit::publish("stock.out", payload, key);
}
} // namespace

} // namespace usher::shop

/// _check_stock_level(): BEFORE INSERT OR UPDATE on stock_levels, for each row
USHER_FUNCTION(usher_shop_check_level) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, true, "stock_levels");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers), before(trigger.before(), relation, numbers);
    check(trigger.is_update ? &before : nullptr, row);
    return PointerGetDatum(trigger.after());
}

/// _follow_stock_level(): AFTER INSERT OR UPDATE on stock_levels, for each row
USHER_FUNCTION(usher_shop_follow_level) {
    using namespace usher;
    using namespace usher::shop;
    const RowTrigger trigger(fcinfo, false, "stock_levels");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers), before(trigger.before(), relation, numbers);
    const std::int64_t there_before = trigger.is_update ? before.int8(on_hand) : 0;
    const std::int64_t claimed_before = trigger.is_update ? before.int8(reserved) : 0;
    const std::int64_t on_hand_delta = row.int8(on_hand) - there_before;
    const std::int64_t reserved_delta = row.int8(reserved) - claimed_before;
    if (on_hand_delta == 0 && reserved_delta == 0) return Datum{0};
    write_log(trigger.schema, row, on_hand_delta, reserved_delta);
    tell(row, there_before - claimed_before);
    return Datum{0};
}
