// The handler of what happens to purchases: bookings, payments and orders that are completed earn by the rules of their
// time, and what of them comes back, or was not paid with money, takes its share of the points back. Events arrive
// late, twice and in any order: each is kept as a fact of its source, and what follows from all facts is the same.
//
// Locks: the user, sources, accounts (docs/loyalty.md, "Locks").
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/points/purchase.hpp"
#include "usher_loyalty/rules/kept_rules.hpp"
#include "usher_loyalty/tiers/review_tier.hpp"
#include <set>

namespace usher::loyalty {

namespace {
constinit Statement note_source{R"(
    INSERT INTO @.points_sources AS s (source_type, source_id)
    VALUES ($1, $2)
    ON CONFLICT (source_type, source_id) DO UPDATE SET source_type = s.source_type
    RETURNING s.customer_id)"};
// With the account: most purchases are new, of customers who have one, and need to know no more. A source that is new
// has nothing deducted of it, for deductions refer to it; somebody may have given points for it by hand, though.
constinit Statement note_purchase{R"(
    INSERT INTO @.points_sources AS s (source_type, source_id, customer_id, amount_minor, currency, occurred_at)
    VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz, pg_catalog.statement_timestamp()))
    ON CONFLICT (source_type, source_id) DO UPDATE
    SET customer_id = coalesce(s.customer_id, EXCLUDED.customer_id),
        amount_minor = coalesce(s.amount_minor, EXCLUDED.amount_minor),
        currency = coalesce(s.currency, EXCLUDED.currency), occurred_at = coalesce(s.occurred_at, EXCLUDED.occurred_at)
    RETURNING s.occurred_at,
              s.xmax = 0 AND NOT EXISTS (SELECT FROM @.points_entries AS e
                                         WHERE e.source_id = $2 AND e.source_type = $1 AND e.kind = 'earn'),
              (SELECT a.tier FROM @.points_accounts AS a WHERE a.customer_id = $3),
              (SELECT a.closed_at IS NOT NULL FROM @.points_accounts AS a WHERE a.customer_id = $3))"};
constinit Statement note_deduction{R"(
    INSERT INTO @.points_deductions AS d (source_type, source_id, cause_id, kind, amount_minor)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (source_type, source_id, cause_id) DO UPDATE
    SET kind = CASE WHEN EXCLUDED.kind = 'void' THEN 'void' ELSE d.kind END,
        amount_minor = CASE WHEN 'void' IN (d.kind, EXCLUDED.kind) THEN 0
                            ELSE greatest(d.amount_minor, EXCLUDED.amount_minor) END)"};
constinit Statement note_standing{R"(
    INSERT INTO @.points_sources AS s (source_type, source_id, captured_minor, refunded_minor, kept_minor)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (source_type, source_id) DO UPDATE
    SET captured_minor = greatest(s.captured_minor, EXCLUDED.captured_minor),
        refunded_minor = greatest(s.refunded_minor, EXCLUDED.refunded_minor),
        kept_minor = least(s.kept_minor, EXCLUDED.kept_minor)
    RETURNING s.customer_id)"};
// What earlier versions have deducted for the same payment.
constinit Statement supersede{R"(
    DELETE FROM @.points_deductions AS d
    WHERE d.source_type = $1 AND d.source_id = $2 AND d.cause_id = $3 AND d.kind = 'returned')"};
// What makes a booking or order cost less than it was judged by: what of it was returned, or what went back of its
// price. A return and its refund are the same money. What is cancelled stays so.
constinit Statement derive_deduction{R"(
    INSERT INTO @.points_deductions AS d (source_type, source_id, cause_id, kind, amount_minor)
    SELECT s.source_type, s.source_id, s.source_id, 'returned',
           greatest(s.amount_minor - s.kept_minor,
                    least(s.refunded_minor, s.amount_minor - (s.captured_minor - s.refunded_minor)), 0)
    FROM @.points_sources AS s
    WHERE s.source_type = $1 AND s.source_id = $2 AND s.amount_minor IS NOT NULL
        AND (s.kept_minor IS NOT NULL OR s.captured_minor IS NOT NULL)
    ON CONFLICT (source_type, source_id, cause_id) DO UPDATE
    SET amount_minor = CASE d.amount_minor WHEN 1000000000000000 THEN d.amount_minor ELSE EXCLUDED.amount_minor END)"};
constinit Statement make_account{R"(
    INSERT INTO @.points_accounts (customer_id, user_id)
    VALUES ($1, $2)
    ON CONFLICT (customer_id) DO NOTHING)"};
// With what does not count of a source: whoever has noted that held the source, so it is seen here. What is disputed
// may count again.
constinit Statement read_account{R"(
    SELECT a.tier, a.closed_at IS NOT NULL, d.amount_minor, d.lasts
    FROM @.points_accounts AS a
        CROSS JOIN (
            SELECT (CASE WHEN count(*) > 0 THEN least(sum(d.amount_minor), 1000000000000000) END)::bigint,
                   least(coalesce(sum(d.amount_minor) FILTER (WHERE d.kind <> 'disputed'), 0), 1000000000000000)::bigint
            FROM @.points_deductions AS d
            WHERE d.source_type = $2 AND d.source_id = $3) AS d (amount_minor, lasts)
    WHERE a.customer_id = $1)"};
constinit Statement lock_account{R"(
    SELECT FROM @.points_accounts AS a
    WHERE a.customer_id = $1 FOR NO KEY UPDATE)"};
constinit Statement sum_deductions{R"(
    SELECT (CASE WHEN count(*) > 0 THEN least(sum(d.amount_minor), 1000000000000000) END)::bigint
    FROM @.points_deductions AS d
    WHERE d.source_type = $1 AND d.source_id = $2)"};
// When a rule asks the clock of its zone, or counts by its period.
constinit Statement read_clock{R"(
    SELECT extract(isodow FROM l.local)::integer, extract(hour FROM l.local)::integer, l.local::date::text, p.starts_at,
           (p.starts_at AT TIME ZONE $2 + ('1 ' || $3)::interval) AT TIME ZONE $2
    FROM (SELECT $1::timestamptz AT TIME ZONE $2) AS l (local)
        CROSS JOIN LATERAL (SELECT date_trunc(coalesce($3, 'day'), l.local) AT TIME ZONE $2) AS p (starts_at))"};
constinit Statement sum_period{R"(
    SELECT coalesce(sum(e.points), 0)::bigint
    FROM @.points_entries AS e
    WHERE e.customer_id = $1 AND e.kind IN ('earn', 'take_back', 'restore') AND e.rule_code = $2
        AND e.occurred_at >= $3 AND e.occurred_at < $4 AND e.source_id IS DISTINCT FROM $5)"};
constinit Statement insert_earned{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code, rule_version,
                                  expires_at, occurred_at)
    VALUES ($1, 'earn', $2, $3, $4, $5, $6, $8::timestamptz + $7::interval, $8)
    ON CONFLICT (source_id, source_type, customer_id, rule_code) WHERE kind = 'earn' AND source_id IS NOT NULL
    DO NOTHING)"};
constinit Statement read_earned{R"(
    SELECT e.id, e.points, e.rule_code, e.rule_version, e.occurred_at, s.amount_minor,
           coalesce((SELECT -sum(r.points + coalesce((SELECT sum(b.points) FROM @.points_entries AS b
                                                      WHERE b.reverses = r.id), 0))
                     FROM @.points_entries AS r WHERE r.reverses = e.id), 0)::bigint
    FROM @.points_entries AS e JOIN @.points_sources AS s ON s.source_type = e.source_type AND s.source_id = e.source_id
    WHERE e.source_id = $2 AND e.source_type = $1 AND e.kind = 'earn' AND e.customer_id = s.customer_id
    ORDER BY e.id)"};
constinit Statement insert_taken_back{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code, rule_version, reverses,
                                  occurred_at)
    VALUES ($1, 'take_back', $2, $3, $4, $5, $6, $7, $8))"};
// What was taken back of an entry and not restored, the latest first; nothing is restored to an account that is closed.
constinit Statement read_taken_back{R"(
    SELECT t.id, (-t.points - coalesce((SELECT sum(b.points) FROM @.points_entries AS b
                                        WHERE b.reverses = t.id), 0))::bigint
    FROM @.points_entries AS t JOIN @.points_accounts AS a ON a.customer_id = t.customer_id
    WHERE t.reverses = $1 AND a.closed_at IS NULL
    ORDER BY t.id DESC)"};
constinit Statement insert_restored{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code, rule_version, reverses,
                                  expires_at, occurred_at)
    SELECT e.customer_id, 'restore', $2, e.source_type, e.source_id, e.rule_code, e.rule_version, t.id, e.expires_at,
           e.occurred_at
    FROM @.points_entries AS t JOIN @.points_entries AS e ON e.id = t.reverses
    WHERE t.id = $1)"};

/// The scripts of 0.9.0 do not keep what a booking or order stands at.
bool keeps_standing(const Schema &schema) { return kit::has_column(schema, "points_sources", "captured_minor"); }

/// A rule that does not fit a purchase stops neither the others nor the event: it earns nothing, and the log says why.
std::int64_t judge(const Purchase &purchase, const KeptRule &kept) {
    try {
        return points_for(kept.rule, purchase.facts, pg::poll);
    } catch (const Error &error) {
        const std::string data = json::Object()
                                     .add("rule", kept.code)
                                     .add("rule_version", std::int64_t{kept.version})
                                     .add("source_id", purchase.source.id)
                                     .text();
        kit::log_event({.event_type = "loyalty.rule_failed",
                        .data = data,
                        .severity = "warning",
                        .result = "failure",
                        .resource_type = "earning_rule",
                        .resource_id = kept.code,
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
        if (customers_.size() > 1) {              // else whatever changes it locks it
            for (const Uuid &each : customers_) { // in their order
                if (news_.purchase && each == news_.purchase->customer) make_account_of(*news_.purchase);
                lock_account.run(schema_, {pg::uuid(each)});
            }
        }
        if (news_.purchase) {
            open_account();
            earn(event);
        }
        if (news_.standing) settle(news_.standing->source, deducted(news_.standing->source));
        for (const Deduction &each : news_.deductions) settle(each.source, deducted(each.source));
        if (news_.purchase) settle(news_.purchase->source, without_);
        for (const Uuid &each : customers_) review_tier(schema_, each);
    }

private:
    void note(const Standing &standing) {
        const auto amount = [](const std::optional<std::int64_t> &sum) {
            return sum ? pg::int8(*sum) : pg::null(INT8OID);
        };
        const pg::Param type = pg::text(standing.source.type), id = pg::uuid(standing.source.id);
        const pg::Rows source =
            note_standing.run(schema_, {type, id, amount(standing.captured_minor), amount(standing.refunded_minor),
                                        amount(standing.kept_minor)});
        if (const auto customer = source.front().optional_uuid(0)) customers_.insert(*customer);
        if (standing.payment) supersede.run(schema_, {type, id, pg::uuid(*standing.payment)});
        derive_deduction.run(schema_, {type, id});
    }

    void note_facts() {
        if (news_.standing) note(*news_.standing);
        for (const Deduction &each : news_.deductions) {
            const pg::Rows source = note_source.run(schema_, {pg::text(each.source.type), pg::uuid(each.source.id)});
            if (const auto customer = source.front().optional_uuid(0)) customers_.insert(*customer);
            note_deduction.run(schema_, {pg::text(each.source.type), pg::uuid(each.source.id), pg::uuid(each.cause),
                                         pg::text(each.kind), pg::int8(each.amount_minor)});
        }
        if (!news_.purchase) return;
        Purchase &purchase = *news_.purchase;
        const pg::Rows noted = note_purchase.run(schema_, {pg::text(purchase.source.type), pg::uuid(purchase.source.id),
                                                           pg::uuid(purchase.customer), pg::int8(purchase.amount_minor),
                                                           pg::text_unless_empty(purchase.currency),
                                                           pg::text_unless_empty(purchase.occurred_at)});
        const pg::Row row = noted.front();
        occurred_at_ = row.time(0);
        customers_.insert(purchase.customer);
        is_known_ = row.boolean(1) && !row.is_null(3) && news_.deductions.empty();
        if (!is_known_) {
            if (keeps_standing(schema_))
                derive_deduction.run(schema_, {pg::text(purchase.source.type), pg::uuid(purchase.source.id)});
            return;
        }
        tier_ = row.optional_text(2);
        is_closed_ = row.boolean(3);
    }

    void make_account_of(const Purchase &purchase) const {
        make_account.run(schema_, {pg::uuid(purchase.customer), pg::uuid_or_null(purchase.user)});
    }

    void open_account() {
        if (is_known_) return;
        const Purchase &purchase = *news_.purchase;
        const auto find = [&] {
            return read_account.run(
                schema_, {pg::uuid(purchase.customer), pg::text(purchase.source.type), pg::uuid(purchase.source.id)});
        };
        pg::Rows found = find();
        if (found.empty()) {
            make_account_of(purchase);
            found = find();
        }
        const pg::Row account = found.front();
        tier_ = account.optional_text(0);
        is_closed_ = account.boolean(1);
        if (!account.is_null(2)) without_ = account.int8(2);
        without_for_good_ = account.int8(3);
    }

    [[nodiscard]] std::optional<std::int64_t> deducted(const SourceId &source) const {
        const pg::Rows rows = sum_deductions.run(schema_, {pg::text(source.type), pg::uuid(source.id)});
        return rows.front().is_null(0) ? std::nullopt : std::optional(rows.front().int8(0));
    }

    void earn(std::string_view event) {
        Purchase &purchase = *news_.purchase;
        const bool is_gone = without_ && without_for_good_ >= purchase.amount_minor;
        if (is_closed_ || !purchase.is_money || is_gone) return;
        set_member(purchase.facts, "tier", tier_ ? expression::Value::of(*tier_) : expression::Value{});
        std::string_view code;
        for (const KeptRule &each : rules_of(schema_, event)) {
            if (each.code == code || !each.is_valid_at(occurred_at_)) continue;
            code = each.code; // the latest version that is valid
            earn_by(each);
        }
    }

    void earn_by(const KeptRule &kept) {
        Purchase &purchase = *news_.purchase;
        pg::Rows clock;
        if (kept.asks_the_clock || kept.period) {
            clock = read_clock.run(schema_,
                                   {pg::timestamptz(occurred_at_), pg::text(kept.zone), pg::text_or_null(kept.period)});
            const pg::Row local = clock.front();
            set_member(purchase.facts, "weekday", expression::Value::of(static_cast<double>(local.int4(0))));
            set_member(purchase.facts, "hour", expression::Value::of(static_cast<double>(local.int4(1))));
            set_member(purchase.facts, "date", expression::Value::of(local.string(2)));
        }
        std::int64_t points = judge(purchase, kept);
        if (points > 0 && kept.max_in_period)
            points = std::min(points, *kept.max_in_period - earned_in_period(kept, clock.front()));
        if (points <= 0 || (is_known_ && add_earned(kept, points))) return;
        insert_earned.run(schema_, {pg::uuid(purchase.customer), pg::int8(points), pg::text(purchase.source.type),
                                    pg::uuid(purchase.source.id), pg::text(kept.code), pg::int4(kept.version),
                                    pg::text_or_null(kept.expires_after), pg::timestamptz(occurred_at_)});
    }

    /// Of what nobody has earned by: without planning. Who gives points for it by hand at this moment makes this fail,
    /// and be tried again.
    [[nodiscard]] bool add_earned(const KeptRule &kept, std::int64_t points) const {
        static constexpr std::array columns{"customer_id", "kind",         "points",     "source_type", "source_id",
                                            "rule_code",   "rule_version", "expires_at", "occurred_at"};
        const Purchase &purchase = *news_.purchase;
        const pg::Param at = pg::timestamptz(occurred_at_);
        pg::Param ends = pg::null(TIMESTAMPTZOID);
        if (kept.expires_after) {
            const pg::Param after = pg::input(INTERVALOID, *kept.expires_after);
            ends = pg::datum(TIMESTAMPTZOID, pg::call([&] {
                                 return DirectFunctionCall2(timestamptz_pl_interval, pg::to_datum(at),
                                                            pg::to_datum(after));
                             }));
        }
        const std::array<pg::Param, columns.size()> row{pg::uuid(purchase.customer),
                                                        pg::text("earn"),
                                                        pg::int8(points),
                                                        pg::text(purchase.source.type),
                                                        pg::uuid(purchase.source.id),
                                                        pg::text(kept.code),
                                                        pg::int4(kept.version),
                                                        ends,
                                                        at};
        const Oid table = pg::call([&] { return get_relname_relid("points_entries", schema_.oid()); });
        return pg::insert_with_triggers(table, columns, row);
    }

    [[nodiscard]] std::int64_t earned_in_period(const KeptRule &kept, const pg::Row &clock) const {
        const Purchase &purchase = *news_.purchase;
        lock_account.run(schema_, {pg::uuid(purchase.customer)}); // two at once would not see each other
        return sum_period
            .run(schema_, {pg::uuid(purchase.customer), pg::text(kept.code), clock.param(3), clock.param(4),
                           pg::uuid(purchase.source.id)})
            .front()
            .int8(0);
    }

    /// Takes back what is no longer earned, by all that is known of a source, and restores what is again.
    void settle(const SourceId &source, std::optional<std::int64_t> without) const {
        if (!without) return;
        const pg::Rows entries = read_earned.run(schema_, {pg::text(source.type), pg::uuid(source.id)});
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const pg::Row entry = entries[i];
            const std::int64_t due =
                entry.int8(1) - kept_points(entry.int8(1), entry.int8(5), *without) - entry.int8(6);
            if (due < 0 && (has_won(source) || is_standing(source))) restore(entry.param(0), -due);
            if (due <= 0) continue;
            insert_taken_back.run(schema_,
                                  {customer_of(source), pg::int8(-due), pg::text(source.type), pg::uuid(source.id),
                                   entry.param(2), entry.param(3), entry.param(0), entry.param(4)});
        }
    }

    /// What its payments bring together may have become more.
    [[nodiscard]] bool is_standing(const SourceId &source) const {
        return news_.standing && news_.standing->source.type == source.type && news_.standing->source.id == source.id;
    }

    [[nodiscard]] bool has_won(const SourceId &source) const {
        return std::any_of(news_.deductions.begin(), news_.deductions.end(), [&](const Deduction &each) {
            return each.kind == "void" && each.source.type == source.type && each.source.id == source.id;
        });
    }

    void restore(const pg::Param &entry, std::int64_t points) const {
        const pg::Rows taken = read_taken_back.run(schema_, {entry});
        for (std::size_t i = 0; i < taken.size() && points > 0; ++i) {
            const std::int64_t part = std::min(points, taken[i].int8(1));
            if (part <= 0) continue;
            insert_restored.run(schema_, {taken[i].param(0), pg::int8(part)});
            points -= part;
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
    // Of the customer who buys, and of what they buy.
    bool is_known_ = false; // all that follows, since the purchase was noted
    std::optional<std::string> tier_;
    bool is_closed_ = false;
    std::optional<std::int64_t> without_; // money that does not count
    std::int64_t without_for_good_ = 0;   // of it, what nobody disputes
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
    Handler(schema, read_purchase(event, args.output(1), keeps_standing(schema))).run(event);
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
