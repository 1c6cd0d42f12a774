#include "usher_shop/stock/movement.hpp"
#include "common/json_object.hpp"
#include <algorithm>

namespace usher::shop {

namespace {
constinit Movement *innermost = nullptr;
constinit LogWriting::Kind writing = LogWriting::Kind::none;

// A statement of its own for each direction: what makes more available is never refused.
constinit Statement take{R"(
    UPDATE @.stock_levels AS l
    SET on_hand = l.on_hand + $3, reserved = l.reserved + $4
    WHERE l.product_id = $1 AND l.location_id = $2 AND l.on_hand - l.reserved + l.backorder_limit >= $4 - $3
    RETURNING l.on_hand, l.reserved)"};
constinit Statement read{R"(
    SELECT l.on_hand - l.reserved
    FROM @.stock_levels AS l
    WHERE l.product_id = $1 AND l.location_id = $2)"};
constinit Statement find_product{"SELECT p.track_stock FROM @.products AS p WHERE p.id = $1"};
constinit Statement make{R"(
    INSERT INTO @.stock_levels (product_id, location_id, backorder_limit)
    SELECT p.id, $2, p.backorder_limit
    FROM @.products AS p
    WHERE p.id = $1
    ON CONFLICT (product_id, location_id) DO NOTHING)"};
// Those that others are at are left alone: whoever holds a level waits for no reservation. So is the one that asks,
// whose time may be over before its turn has come.
constinit Statement expire{R"(
    UPDATE @.stock_reservations AS r
    SET status = 'expired'
    WHERE r.id IN (SELECT o.id FROM @.stock_reservations AS o
                   WHERE o.status = 'held' AND o.expires_at <= pg_catalog.clock_timestamp() AND o.product_id = $1
                       AND o.location_id = $2 AND o.id IS DISTINCT FROM $3
                   FOR UPDATE SKIP LOCKED))"};

bool make_level(const Schema &schema, const Stock &stock) {
    const pg::Rows products = find_product.run(schema, {pg::uuid(stock.product)});
    if (products.empty())
        throw Error(errc::unknown_reference, "product does not exist",
                    json::Object().add("product_id", stock.product).text());
    if (!products.front().boolean(0))
        throw Error(errc::invalid_argument, "no stock is kept of the product",
                    json::Object().add("argument", "product_id").add("product_id", stock.product).text());
    make.run(schema, {pg::uuid(stock.product), pg::uuid(stock.location)});
    return true;
}
} // namespace

void require_name(std::string_view text, const char *argument) {
    const auto is_letter = [](char each) { return each >= 'a' && each <= 'z'; };
    const auto fits = [&](char each) { return is_letter(each) || (each >= '0' && each <= '9') || each == '_'; };
    if (!text.empty() && text.size() <= 63 && is_letter(text.front()) && std::all_of(text.begin(), text.end(), fits))
        return;
    throw Error(errc::invalid_argument,
                std::string(argument) + " must be a name of lower-case letters, digits and underscores",
                json::Object().add("argument", argument).text());
}

Movement::Movement(std::string_view its_kind) : kind(its_kind), outer_(innermost) { innermost = this; }
Movement::~Movement() { innermost = outer_; }
Movement *Movement::current() { return innermost; }

LogWriting::LogWriting(Kind kind) : outer_(writing) { writing = kind; }
LogWriting::~LogWriting() { writing = outer_; }
LogWriting::Kind LogWriting::current() { return writing; }

Level change_level(const Schema &schema, const Stock &stock, std::int64_t on_hand_delta, std::int64_t reserved_delta) {
    const std::initializer_list<pg::Param> params = {pg::uuid(stock.product), pg::uuid(stock.location),
                                                     pg::int8(on_hand_delta), pg::int8(reserved_delta)};
    pg::Rows changed = take.run(schema, params);
    if (changed.empty()) {
        const pg::Rows known = read.run(schema, {pg::uuid(stock.product), pg::uuid(stock.location)});
        if (known.empty())
            make_level(schema, stock);
        else if (reserved_delta > 0)
            expire.run(schema, {pg::uuid(stock.product), pg::uuid(stock.location),
                                pg::uuid_or_null(innermost != nullptr ? innermost->source : std::nullopt)});
        changed = take.run(schema, params);
    }
    if (!changed.empty()) return {changed.front().int8(0), changed.front().int8(1)};
    const pg::Rows left = read.run(schema, {pg::uuid(stock.product), pg::uuid(stock.location)});
    const std::string detail = json::Object()
                                   .add("product_id", stock.product)
                                   .add("location_id", stock.location)
                                   .add("quantity", reserved_delta - on_hand_delta)
                                   .add("available", left.empty() ? std::int64_t{0} : left.front().int8(0))
                                   .text();
    if (reserved_delta > 0) throw Error(errc::out_of_stock, "more is asked for than is available", detail);
    throw Error(errc::stock_reserved, "more would be taken away than is there and not reserved", detail);
}

} // namespace usher::shop
