#include "usher_loyalty/customers/customer_facts.hpp"
#include "usher_loyalty/rules/rule_expression.hpp"

namespace usher::loyalty {

namespace {
constinit Statement read{R"(
    SELECT a.tier, s.purchases,
           (pg_catalog.jsonb_build_object('tier', a.tier, 'balance', coalesce(a.balance, 0),
               'attributes', coalesce(a.attributes, '{}'), 'purchases', s.purchases, 'spent_minor', s.spent_minor,
               'days_since_first', extract(epoch FROM $2 - s.first_at)::bigint / 86400,
               'days_since_last', extract(epoch FROM $2 - s.last_at)::bigint / 86400))::text
    FROM (SELECT $1::uuid AS id) AS c
        LEFT JOIN @.points_accounts AS a ON a.customer_id = c.id
        CROSS JOIN (SELECT count(*) AS purchases, coalesce(sum(p.amount_minor), 0)::bigint AS spent_minor,
                           min(p.occurred_at) AS first_at, max(p.occurred_at) AS last_at
                    FROM @.points_sources AS p
                    WHERE p.customer_id = $1 AND p.source_type <> 'payment') AS s)"};
constinit Statement find_segment{"SELECT s.condition FROM @.loyalty_segments AS s WHERE s.code = $1"};
} // namespace

Customer read_customer(const Schema &schema, const Uuid &customer, Instant at) {
    const pg::Rows rows = read.run(schema, {pg::uuid(customer), pg::timestamptz(at)});
    const pg::Row row = rows.front();
    Customer out;
    out.tier = row.optional_text(0);
    out.is_new = row.int8(1) == 0;
    out.facts = expression::from_json(row.text(2)).value_or(expression::Value{});
    return out;
}

} // namespace usher::loyalty

/// _fits_segment(segment text, customer_id uuid, at timestamptz)
USHER_FUNCTION(usher_loyalty_fits_segment) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    if (args.is_null(0)) return BoolGetDatum(true);
    const Schema schema(fcinfo);
    const pg::Rows found = find_segment.run(schema, {pg::text(args.text(0))});
    if (found.empty()) return BoolGetDatum(false);
    return BoolGetDatum(holds(parse_expression(found.front().text(0), "condition", false),
                              read_customer(schema, args.uuid(1), args.time(2)).facts, {}, pg::poll));
}
