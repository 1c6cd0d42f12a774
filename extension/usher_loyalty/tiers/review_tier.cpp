#include "usher_loyalty/tiers/review_tier.hpp"
#include "usher_loyalty/tiers/tier_rule.hpp"

namespace usher::loyalty {

namespace {
constinit Statement read_account{R"(
    SELECT a.tier, a.tier_lapses_at, a.user_id,
           coalesce((SELECT t.rank FROM @.loyalty_tiers AS t WHERE t.code = a.tier), 0)
    FROM @.points_accounts AS a
    WHERE a.customer_id = $1 FOR NO KEY UPDATE OF a)"};
constinit Statement read_tiers{R"(
    SELECT t.code, t.rank, $2 + t.grace, t.threshold <= coalesce(CASE t.basis
        WHEN 'points' THEN (
            SELECT sum(e.points)
            FROM @.points_entries AS e
            WHERE e.customer_id = $1 AND e.kind IN ('earn', 'take_back', 'restore')
                AND e.occurred_at > $2 - t.counts_back)
        ELSE (
            SELECT sum(greatest(s.amount_minor - coalesce((
                       SELECT sum(d.amount_minor)
                       FROM @.points_deductions AS d
                       WHERE d.source_type = s.source_type AND d.source_id = s.source_id), 0), 0))
            FROM @.points_sources AS s
            WHERE s.customer_id = $1 AND s.source_type = t.basis AND s.currency = t.currency
                AND s.occurred_at > $2 - t.counts_back) END, 0)
    FROM @.loyalty_tiers AS t
    WHERE t.is_active)"};
constinit Statement change_tier{R"(
    UPDATE @.points_accounts AS a
    SET tier = $2, tier_lapses_at = $3, tier_reviewed_at = $4,
        tier_since = CASE WHEN a.tier IS DISTINCT FROM $2 THEN $4 ELSE a.tier_since END
    WHERE a.customer_id = $1)"};
} // namespace

void review_tier(const Schema &schema, const Uuid &customer) {
    if (!kit::was_ever_used(schema, "loyalty_tiers")) return;
    const pg::Rows accounts = read_account.run(schema, {pg::uuid(customer)});
    if (accounts.empty()) return;
    const pg::Row account = accounts.front();
    const Instant now = pg::statement_time();
    const pg::Rows rows = read_tiers.run(schema, {pg::uuid(customer), pg::timestamptz(now)});
    std::vector<Tier> tiers;
    for (std::size_t i = 0; i < rows.size(); ++i)
        tiers.push_back({rows[i].int4(1), rows[i].boolean(3), rows[i].time(2)});
    const TierState next = next_tier(tiers, {account.int4(3), account.optional_time(1)}, now);
    std::optional<std::string> code;
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].int4(1) == next.rank) code = rows[i].string(0);
    change_tier.run(schema, {pg::uuid(customer), pg::text_or_null(code), pg::timestamptz_or_null(next.lapses_at),
                             pg::timestamptz(now)});
    const std::optional<std::string> held = account.optional_text(0);
    if (code == held) return;
    json::Object object;
    object.add("customer_id", customer);
    if (const auto user = account.optional_uuid(2)) object.add("user_id", *user);
    if (held) object.add("from", *held);
    if (code) object.add("to", *code);
    kit::publish("loyalty.tier_changed", object.text(), to_string(customer));
}

} // namespace usher::loyalty

/// _review_tier(customer_id uuid)
USHER_FUNCTION(usher_loyalty_review_tier) {
    const usher::pg::Args args(fcinfo);
    usher::loyalty::review_tier(usher::loyalty::Schema(fcinfo), args.uuid(0));
    return usher::pg::result(usher::pg::boolean(true));
}
