// The handler of what happens to purchases: bookings, payments and orders that are completed earn by the rules of their
// time, and what of them comes back, or was not paid with money, takes its share of the points back. Events arrive
// late, twice and in any order: each is kept as a fact of its source, and what follows from all facts is the same.
//
// Locks: the user, sources, accounts.
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/points/purchase.hpp"
#include "usher_loyalty/rules/earning.hpp"
#include "usher_loyalty/tiers/review_tier.hpp"
#include <set>

namespace usher::loyalty {

namespace {
constinit Statement note_source{R"(
    INSERT INTO @.points_sources AS s (source_type, source_id)
    VALUES ($1, $2)
    ON CONFLICT (source_type, source_id) DO UPDATE SET source_type = s.source_type
    RETURNING s.customer_id)"};
constinit Statement note_purchase{R"(
    INSERT INTO @.points_sources AS s (source_type, source_id, customer_id, amount_minor, currency, occurred_at)
    VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz, pg_catalog.statement_timestamp()))
    ON CONFLICT (source_type, source_id) DO UPDATE
    SET customer_id = coalesce(s.customer_id, EXCLUDED.customer_id),
        amount_minor = coalesce(s.amount_minor, EXCLUDED.amount_minor),
        currency = coalesce(s.currency, EXCLUDED.currency), occurred_at = coalesce(s.occurred_at, EXCLUDED.occurred_at)
    RETURNING s.customer_id, s.amount_minor, s.occurred_at)"};
constinit Statement note_deduction{R"(
    INSERT INTO @.points_deductions AS d (source_type, source_id, cause_id, kind, amount_minor)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (source_type, source_id, cause_id) DO UPDATE
    SET amount_minor = greatest(d.amount_minor, EXCLUDED.amount_minor))"};
constinit Statement make_account{R"(
    INSERT INTO @.points_accounts (customer_id, user_id)
    VALUES ($1, $2)
    ON CONFLICT (customer_id) DO NOTHING)"};
constinit Statement lock_account{R"(
    SELECT a.tier, a.closed_at IS NOT NULL
    FROM @.points_accounts AS a
    WHERE a.customer_id = $1 FOR NO KEY UPDATE)"};
constinit Statement sum_deductions{R"(
    SELECT (CASE WHEN count(*) > 0 THEN least(sum(d.amount_minor), 1000000000000000) END)::bigint
    FROM @.points_deductions AS d
    WHERE d.source_type = $1 AND d.source_id = $2)"};
constinit Statement find_rules{R"(
    SELECT r.code, r.rule_version, r.condition, r.points, r.counts = 'line', r.max_points, r.max_in_period,
           p.starts_at, (p.starts_at AT TIME ZONE r.time_zone + ('1 ' || r.period)::interval) AT TIME ZONE r.time_zone,
           $2 + r.expires_after, extract(isodow FROM l.local)::integer, extract(hour FROM l.local)::integer,
           l.local::date::text
    FROM (SELECT DISTINCT ON (o.code) o.*
          FROM @.earning_rules AS o
          WHERE o.event = $1 AND o.valid_from <= $2 AND (o.valid_until IS NULL OR $2 < o.valid_until)
          ORDER BY o.code, o.rule_version DESC) AS r
        CROSS JOIN LATERAL (SELECT $2 AT TIME ZONE r.time_zone) AS l (local)
        CROSS JOIN LATERAL (SELECT date_trunc(r.period, l.local) AT TIME ZONE r.time_zone) AS p (starts_at)
    ORDER BY r.code)"};
constinit Statement sum_period{R"(
    SELECT coalesce(sum(e.points), 0)::bigint
    FROM @.points_entries AS e
    WHERE e.customer_id = $1 AND e.kind IN ('earn', 'take_back') AND e.rule_code = $2
        AND e.occurred_at >= $3 AND e.occurred_at < $4 AND e.source_id IS DISTINCT FROM $5)"};
constinit Statement insert_earned{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code, rule_version,
                                  expires_at, occurred_at)
    VALUES ($1, 'earn', $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (source_id, source_type, customer_id, rule_code) WHERE kind = 'earn' AND source_id IS NOT NULL
    DO NOTHING)"};
constinit Statement read_earned{R"(
    SELECT e.id, e.points, e.rule_code, e.rule_version, e.occurred_at, s.amount_minor,
           coalesce((SELECT -sum(r.points) FROM @.points_entries AS r WHERE r.reverses = e.id), 0)::bigint
    FROM @.points_entries AS e JOIN @.points_sources AS s ON s.source_type = e.source_type AND s.source_id = e.source_id
    WHERE e.source_id = $2 AND e.source_type = $1 AND e.kind = 'earn' AND e.customer_id = s.customer_id
    ORDER BY e.id)"};
constinit Statement insert_taken_back{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code, rule_version, reverses,
                                  occurred_at)
    VALUES ($1, 'take_back', $2, $3, $4, $5, $6, $7, $8))"};

/// What a rule is told beside the payload.
expression::Value facts_for(const Purchase &purchase, const pg::Row &rule, const std::optional<std::string> &tier) {
    expression::Value facts = purchase.facts;
    set_member(facts, "tier", tier ? expression::Value::of(*tier) : expression::Value{});
    set_member(facts, "weekday", expression::Value::of(static_cast<double>(rule.int4(10))));
    set_member(facts, "hour", expression::Value::of(static_cast<double>(rule.int4(11))));
    set_member(facts, "date", expression::Value::of(rule.string(12)));
    return facts;
}

/// A rule that does not fit a purchase stops neither the others nor the event: it earns nothing, and the log says why.
std::int64_t judge(const Purchase &purchase, const pg::Row &rule, const std::optional<std::string> &tier) {
    try {
        const auto most = rule.is_null(5) ? std::nullopt : std::optional(rule.int8(5));
        return points_for(parse_rule(rule.text(2), rule.text(3), rule.boolean(4), most),
                          facts_for(purchase, rule, tier), pg::poll);
    } catch (const Error &error) {
        const std::string data = json::Object()
                                     .add("rule", rule.text(0))
                                     .add("rule_version", std::int64_t{rule.int4(1)})
                                     .add("source_id", purchase.source.id)
                                     .text();
        kit::log_event({.event_type = "loyalty.rule_failed",
                        .data = data,
                        .severity = "warning",
                        .result = "failure",
                        .resource_type = "earning_rule",
                        .resource_id = rule.text(0),
                        .error_message = error.what()});
        return 0;
    }
}

class Handler {
public:
    Handler(const Schema &schema, PurchaseNews news) : schema_(schema), news_(std::move(news)) {}

    void run(std::string_view event) {
        if (news_.purchase && news_.purchase->user) {
            const kit::UserState state = kit::lock_user(*news_.purchase->user);
            if (state != kit::UserState::active) news_.purchase->user = std::nullopt;
            if (state == kit::UserState::inactive) news_.purchase = std::nullopt; // whoever is gone earns nothing
        }
        note_facts();
        for (const Uuid &each : customers_) (void)lock_account.run(schema_, {pg::uuid(each)}); // in their order
        if (news_.purchase) earn(event);
        for (const Deduction &each : news_.deductions) settle(each.source);
        if (news_.purchase) settle(news_.purchase->source);
        for (const Uuid &each : customers_) review_tier(schema_, each);
    }

private:
    void note_facts() {
        for (const Deduction &each : news_.deductions) {
            const pg::Rows source = note_source.run(schema_, {pg::text(each.source.type), pg::uuid(each.source.id)});
            if (const auto customer = source.front().optional_uuid(0)) customers_.insert(*customer);
            note_deduction.run(schema_,
                               {pg::text(each.source.type), pg::uuid(each.source.id), pg::uuid(each.cause),
                                pg::text(each.is_return ? "returned" : "not_money"), pg::int8(each.amount_minor)});
        }
        if (!news_.purchase) return;
        Purchase &purchase = *news_.purchase;
        const pg::Rows noted = note_purchase.run(schema_, {pg::text(purchase.source.type), pg::uuid(purchase.source.id),
                                                           pg::uuid(purchase.customer), pg::int8(purchase.amount_minor),
                                                           pg::text_unless_empty(purchase.currency),
                                                           pg::text_unless_empty(purchase.occurred_at)});
        occurred_at_ = noted.front().time(2);
        make_account.run(schema_, {pg::uuid(purchase.customer), pg::uuid_or_null(purchase.user)});
        customers_.insert(purchase.customer);
    }

    [[nodiscard]] std::optional<std::int64_t> deducted(const SourceId &source) const {
        const pg::Rows rows = sum_deductions.run(schema_, {pg::text(source.type), pg::uuid(source.id)});
        return rows.front().is_null(0) ? std::nullopt : std::optional(rows.front().int8(0));
    }

    void earn(std::string_view event) {
        const Purchase &purchase = *news_.purchase;
        const pg::Rows accounts = lock_account.run(schema_, {pg::uuid(purchase.customer)});
        if (accounts.front().boolean(1) || !purchase.is_money) return;
        if (const auto without = deducted(purchase.source); without && *without >= purchase.amount_minor) return;
        const std::optional<std::string> tier = accounts.front().optional_text(0);
        const pg::Rows rules = find_rules.run(schema_, {pg::text(event), pg::timestamptz(occurred_at_)});
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const pg::Row rule = rules[i];
            std::int64_t points = judge(purchase, rule, tier);
            if (points > 0 && !rule.is_null(6)) points = std::min(points, left_in_period(rule));
            if (points <= 0) continue;
            insert_earned.run(schema_, {pg::uuid(purchase.customer), pg::int8(points), pg::text(purchase.source.type),
                                        pg::uuid(purchase.source.id), rule.param(0), rule.param(1), rule.param(9),
                                        pg::timestamptz(occurred_at_)});
        }
    }

    [[nodiscard]] std::int64_t left_in_period(const pg::Row &rule) const {
        const Purchase &purchase = *news_.purchase;
        const pg::Rows earned = sum_period.run(schema_, {pg::uuid(purchase.customer), rule.param(0), rule.param(7),
                                                         rule.param(8), pg::uuid(purchase.source.id)});
        return rule.int8(6) - earned.front().int8(0);
    }

    /// Takes back what is no longer earned, by all that is known of a source.
    void settle(const SourceId &source) const {
        const std::optional<std::int64_t> without = deducted(source);
        if (!without) return;
        const pg::Rows entries = read_earned.run(schema_, {pg::text(source.type), pg::uuid(source.id)});
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const pg::Row entry = entries[i];
            const std::int64_t due =
                entry.int8(1) - kept_points(entry.int8(1), entry.int8(5), *without) - entry.int8(6);
            if (due <= 0) continue;
            insert_taken_back.run(schema_,
                                  {customer_of(source), pg::int8(-due), pg::text(source.type), pg::uuid(source.id),
                                   entry.param(2), entry.param(3), entry.param(0), entry.param(4)});
        }
    }

    [[nodiscard]] pg::Param customer_of(const SourceId &source) const {
        static constinit Statement find{
            "SELECT s.customer_id FROM @.points_sources AS s WHERE s.source_type = $1 AND s.source_id = $2"};
        return find.run(schema_, {pg::text(source.type), pg::uuid(source.id)}).front().param(0);
    }

    const Schema &schema_;
    PurchaseNews news_;
    std::set<Uuid> customers_; // in the order in which accounts are locked
    Instant occurred_at_ = 0;
};
} // namespace

} // namespace usher::loyalty

/// _on_purchase(event text, payload jsonb)
USHER_FUNCTION(usher_loyalty_on_purchase) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::string event(args.text(0));
    Handler(schema, read_purchase(event, args.output(1))).run(event);
    return 0;
}

/// _points_for(condition text, points text, counts_lines boolean, max_points bigint, purchase jsonb): of a rule;
/// without a purchase the rule is only checked
USHER_FUNCTION(usher_loyalty_points_for) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const EarningRule rule = parse_rule(args.text(0), args.text(1), args.boolean(2),
                                        args.is_null(3) ? std::nullopt : std::optional(args.int8(3)));
    if (args.is_null(4)) return pg::result(pg::int8(0));
    const auto purchase = expression::from_json(args.output(4));
    if (!purchase || purchase->kind != expression::Value::Kind::object)
        throw Error(errc::invalid_argument, "purchase must be an object", R"({"argument":"purchase"})");
    return pg::result(pg::int8(points_for(rule, *purchase, pg::poll)));
}
