// What offers take off a cart. Whoever grants it says so by an event; here it is given to the lines, anew whenever they
// change, so that a cart that has become cheaper and dearer again has what was granted.
#include "usher_shop/orders/discount_shares.hpp"
#include "usher_shop/orders/ordering.hpp"
#include <algorithm>

namespace usher::shop {

namespace {
constinit Statement read_grants{R"(
    SELECT d.line_no, d.discount_minor, d.reason
    FROM @.order_discounts AS d
    WHERE d.order_id = $1
    ORDER BY d.line_no = 0, d.granted_at, d.source, d.line_no)"};
// Lines without a discount of any kind have nothing to lose, but may get something.
constinit Statement read_lines{R"(
    SELECT l.id, l.line_no, l.quantity * l.unit_price_minor - (l.discount_minor - l.granted_minor), l.granted_minor,
           l.discount_minor - l.granted_minor, l.discount_reason
    FROM @.order_lines AS l
    WHERE l.order_id = $1
    ORDER BY l.line_no)"};
constinit Statement has_given{
    "SELECT EXISTS (SELECT FROM @.order_lines AS l WHERE l.order_id = $1 AND l.granted_minor > 0)"};
constinit Statement give{R"(
    UPDATE @.order_lines AS l
    SET discount_minor = l.discount_minor - l.granted_minor + $2, granted_minor = $2, discount_reason = $3
    WHERE l.id = $1)"};

struct Line {
    std::int32_t number;
    std::int64_t cost; // that is left of it
    std::int64_t granted = 0;
    std::string reason;
};

void grant(Line &line, std::int64_t amount, std::string_view reason) {
    const std::int64_t taken = std::min(amount, line.cost);
    if (taken <= 0) return;
    line.cost -= taken;
    line.granted += taken;
    if (line.reason.empty()) line.reason = reason;
}
} // namespace

void spread_discounts(const Schema &schema, const Uuid &order) {
    const pg::Rows grants = read_grants.run(schema, {pg::uuid(order)});
    if (grants.empty() && !has_given.run(schema, {pg::uuid(order)}).front().boolean(0)) return;
    const pg::Rows rows = read_lines.run(schema, {pg::uuid(order)});
    std::vector<Line> lines;
    for (std::size_t i = 0; i < rows.size(); ++i)
        lines.push_back(
            {rows[i].int4(1), rows[i].int8(2), 0, rows[i].int8(4) > 0 ? rows[i].optional_text(5).value_or("") : ""});
    for (std::size_t i = 0; i < grants.size(); ++i) {
        const pg::Row row = grants[i];
        const std::string reason = row.optional_text(2).value_or("offer");
        if (row.int4(0) != 0) {
            for (Line &line : lines)
                if (line.number == row.int4(0)) grant(line, row.int8(1), reason);
            continue;
        }
        std::vector<std::int64_t> costs;
        for (const Line &line : lines) costs.push_back(line.cost);
        const std::vector<std::int64_t> shares = discount_shares(row.int8(1), costs);
        for (std::size_t each = 0; each < lines.size(); ++each) grant(lines[each], shares[each], reason);
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (lines[i].granted == rows[i].int8(3) && lines[i].granted == 0) continue;
        if (lines[i].granted == rows[i].int8(3) && lines[i].reason == rows[i].optional_text(5).value_or("")) continue;
        give.run(schema, {rows[i].param(0), pg::int8(lines[i].granted), pg::text_unless_empty(lines[i].reason)});
    }
}

} // namespace usher::shop

/// _spread_discounts(order_id uuid)
USHER_FUNCTION(usher_shop_spread_discounts) {
    using namespace usher;
    const pg::Args args(fcinfo);
    shop::spread_discounts(shop::Schema(fcinfo), args.uuid(0));
    return pg::null_result(fcinfo);
}
