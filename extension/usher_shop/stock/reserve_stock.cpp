// reserve_stock(): the claim itself is a row of stock_reservations, whose triggers do the work. What is here says who
// may, adds lines up, and takes them in the order of levels.
#include "common/json.hpp"
#include "common/json_object.hpp"
#include "usher_shop/stock/movement.hpp"
#include <map>
#include <tuple>

namespace usher::shop {

namespace {
constinit Statement insert{R"(
    INSERT INTO @.stock_reservations (id, product_id, location_id, quantity, reference_type, reference_id, expires_at,
                                      created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8))"};
constinit Statement replay{R"(
    SELECT r.reservation_id, r.product_id, r.location_id, r.quantity, r.available_after, r.expires_at
    FROM (SELECT usher.replay_call('usher_shop', $1, pg_catalog.jsonb_build_object('function', 'reserve_stock',
                     'lines', $2, 'reference_type', $3, 'reference_id', $4, 'ttl', $5)) AS answer) AS stored,
         LATERAL pg_catalog.jsonb_populate_recordset(NULL::@.reservation_receipt, stored.answer) AS r
    WHERE stored.answer IS NOT NULL)"};
constinit Statement remember{R"(
    SELECT usher.remember_call('usher_shop', $1, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'reservation_id', r.id, 'product_id', r.product_id, 'location_id', r.location_id, 'quantity', r.quantity,
        'available_after', x.available_after, 'expires_at', r.expires_at) ORDER BY r.product_id, r.location_id))
    FROM pg_catalog.jsonb_to_recordset($2) AS x (id uuid, available_after bigint)
        JOIN @.stock_reservations AS r ON r.id = x.id)"};
constinit Statement may_somewhere{"SELECT usher.has_permission_somewhere('stock:reserve')"};

constexpr std::size_t most_lines = 1000;

struct Before {
    bool operator()(const Stock &one, const Stock &other) const {
        return std::tie(one.product.bytes, one.location.bytes) < std::tie(other.product.bytes, other.location.bytes);
    }
};
/// In the order in which levels are taken.
using Wanted = std::map<Stock, std::int64_t, Before>;

[[noreturn]] void refuse_lines(const char *message) {
    throw Error(errc::invalid_argument, message, R"({"argument":"lines"})");
}

std::optional<Uuid> uuid_member(const json::Value &line, std::string_view key) {
    const std::optional<json::Value> value = line.find(key);
    std::string buffer;
    return value && value->is_string() ? parse_uuid(value->view(buffer)) : std::nullopt;
}

Wanted add_up(std::string_view text) {
    json::Document document;
    if (!document.parse(text) || !document.root().is_array() || document.root().size() == 0 ||
        document.root().size() > most_lines)
        refuse_lines("lines must be an array of 1 to 1000 lines");
    Wanted wanted;
    for (const json::Member line : document.root().members()) {
        const std::optional<Uuid> product = uuid_member(line.value, "product_id");
        const std::optional<Uuid> location = uuid_member(line.value, "location_id");
        const std::optional<json::Value> number = line.value.find("quantity");
        const std::int64_t quantity = number ? number->as_int64().value_or(0) : 0;
        if (!product || !location || quantity < 1 || quantity > largest_quantity)
            refuse_lines("a line needs product_id, location_id and quantity (a whole number above 0)");
        wanted[{*product, *location}] += quantity; // a thousand of the largest fit
    }
    return wanted;
}

Datum answer_again(FunctionCallInfo fcinfo, const pg::Rows &rows) {
    pg::RowSet set(fcinfo);
    for (std::size_t i = 0; i < rows.size(); ++i)
        set.add({rows[i].param(0), rows[i].param(1), rows[i].param(2), rows[i].param(3), rows[i].param(4),
                 rows[i].param(5)});
    return set.finish();
}
} // namespace

} // namespace usher::shop

/// reserve_stock(lines, reference_type, reference_id, ttl, idempotency_key)
USHER_FUNCTION(usher_shop_reserve) {
    using namespace usher;
    using namespace usher::shop;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Uuid> actor = kit::current_user();
    if (!actor || !may_somewhere.run(schema, std::span<const pg::Param>{}).front().boolean(0))
        kit::require("stock:reserve"); // nobody, or a trusted database role
    if (args.is_null(0)) refuse_lines("lines must be an array of 1 to 1000 lines");
    const std::string lines = args.output(0);
    const Wanted wanted = add_up(lines);
    const std::optional<std::int64_t> ttl = args.optional_interval_us(3);
    if (ttl && *ttl <= 0) throw Error(errc::invalid_argument, "ttl must be above zero", R"({"argument":"ttl"})");
    for (const auto &[stock, quantity] : wanted) kit::require("stock:reserve", stock.location);

    const pg::Param reference_type = pg::text_or_null(args.optional_text(1));
    const std::optional<Uuid> reference = args.optional_uuid(2);
    const std::optional<std::string_view> key = args.optional_text(4);
    if (key) {
        const std::optional<std::string> given = args.optional_output(3);
        const pg::Rows stored = replay.run(schema, {pg::text(*key), pg::jsonb(lines), reference_type,
                                                    pg::uuid_or_null(reference), pg::text_or_null(given)});
        if (!stored.empty()) return answer_again(fcinfo, stored);
    }
    const pg::Param until = ttl ? pg::timestamptz(pg::clock_time() + *ttl) : pg::null(TIMESTAMPTZOID);
    pg::RowSet set(fcinfo);
    std::string receipts;
    for (const auto &[stock, quantity] : wanted) {
        const Uuid id = pg::new_uuid();
        Movement asked("reserve");
        insert.run(schema, {pg::uuid(id), pg::uuid(stock.product), pg::uuid(stock.location), pg::int8(quantity),
                            reference_type, pg::uuid_or_null(reference), until, pg::uuid_or_null(actor)});
        const std::int64_t left = asked.level.on_hand - asked.level.reserved;
        set.add({pg::uuid(id), pg::uuid(stock.product), pg::uuid(stock.location), pg::int8(quantity), pg::int8(left),
                 until});
        receipts += receipts.empty() ? "[" : ",";
        receipts += json::Object().add("id", id).add("available_after", left).text();
    }
    if (key) remember.run(schema, {pg::text(*key), pg::jsonb(receipts + "]")});
    return set.finish();
}
