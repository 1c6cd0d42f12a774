// What is only ever added: the log of stock, and prices and tax rates once they are in force. It holds for the owner
// too.
#include "common/json_object.hpp"
#include "usher_shop/stock/movement.hpp"

namespace usher::shop {

namespace {
[[noreturn]] void refuse(const TriggerData *data, std::string_view what) {
    throw Error(errc::inventory_fixed, std::string(what),
                json::Object().add("relation", RelationGetRelationName(data->tg_relation)).text());
}

bool fits_guard(const TriggerData &each) {
    return TRIGGER_FIRED_BEFORE(each.tg_event) &&
           (TRIGGER_FIRED_FOR_ROW(each.tg_event) || TRIGGER_FIRED_BY_TRUNCATE(each.tg_event));
}

/// What the trigger lets through.
Datum pass(const TriggerData *data) {
    return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}
} // namespace

} // namespace usher::shop

/// _guard_inventory_log(): BEFORE INSERT OR UPDATE OR DELETE for each row, and BEFORE TRUNCATE, on inventory_logs and
/// its partitions
USHER_FUNCTION(usher_shop_guard_log) {
    using namespace usher;
    using namespace usher::shop;
    const TriggerData *const data =
        pg::require_trigger(fcinfo, fits_guard, "BEFORE INSERT OR UPDATE OR DELETE for each row, or BEFORE TRUNCATE");
    if (kit::is_restoring()) return pass(data);
    if (TRIGGER_FIRED_BY_INSERT(data->tg_event)) {
        if (LogWriting::current() == LogWriting::Kind::add) return pass(data);
        refuse(data, "the log of stock is written by changes of stock levels");
    }
    if (TRIGGER_FIRED_BY_DELETE(data->tg_event) && LogWriting::current() == LogWriting::Kind::roll_up)
        return pass(data);
    refuse(data, "rows of the log of stock are only added");
}

/// _guard_stock_levels(): BEFORE DELETE for each row, and BEFORE TRUNCATE, on stock_levels and stock_reservations
USHER_FUNCTION(usher_shop_guard_levels) {
    using namespace usher;
    using namespace usher::shop;
    const auto fits = [](const TriggerData &each) {
        return fits_guard(each) && (TRIGGER_FIRED_BY_DELETE(each.tg_event) || TRIGGER_FIRED_BY_TRUNCATE(each.tg_event));
    };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "BEFORE DELETE for each row, or BEFORE TRUNCATE");
    if (kit::is_restoring()) return pass(data);
    refuse(data, "stock levels and reservations are not removed: their log would be left behind");
}

/// _guard_validity(): BEFORE UPDATE OR DELETE for each row, and BEFORE TRUNCATE, on product_prices and tax_rates
USHER_FUNCTION(usher_shop_guard_validity) {
    using namespace usher;
    using namespace usher::shop;
    const auto fits = [](const TriggerData &each) {
        return fits_guard(each) && !TRIGGER_FIRED_BY_INSERT(each.tg_event);
    };
    const TriggerData *const data =
        pg::require_trigger(fcinfo, fits, "BEFORE UPDATE OR DELETE for each row, or BEFORE TRUNCATE");
    if (kit::is_restoring()) return pass(data);
    if (!TRIGGER_FIRED_BY_DELETE(data->tg_event)) refuse(data, "what has been in force is not changed");
    const Relation relation = data->tg_relation;
    const int number = kit::column_number(relation, "valid_from", TIMESTAMPTZOID);
    bool is_null = false;
    const Datum from =
        pg::call([&] { return heap_getattr(data->tg_trigtuple, number, RelationGetDescr(relation), &is_null); });
    if (is_null || pg::instant_of(from) <= pg::clock_time()) refuse(data, "what has been in force is not removed");
    return pass(data);
}
