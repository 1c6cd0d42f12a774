// The row triggers of reward_redemptions: a new row spends points and takes one of the stock, one that is reversed or
// expires gives both back. They run for every writer. Locks: the redemption that
// changes, the account, the reward.
#include "usher_loyalty/customers/customer_facts.hpp"
#include "usher_loyalty/points/following.hpp"
#include "usher_loyalty/rules/rule_expression.hpp"

namespace usher::loyalty {

namespace {
enum Column : std::uint8_t {
    id,
    reward_id,
    customer_id,
    status,
    cost_points,
    entry_id,
    expires_at,
    redeemed_at,
    redeemed_by
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"reward_id", UUIDOID},
    ColumnForm{"customer_id", UUIDOID},
    ColumnForm{"status", TEXTOID},
    ColumnForm{"cost_points", INT8OID},
    ColumnForm{"entry_id", UUIDOID},
    ColumnForm{"expires_at", TIMESTAMPTZOID},
    ColumnForm{"redeemed_at", TIMESTAMPTZOID},
    ColumnForm{"redeemed_by", UUIDOID},
};
constinit Columns<forms.size()> columns{forms};

constinit Statement lock_account{R"(
    SELECT FROM @.points_accounts AS a
    WHERE a.customer_id = $1 FOR NO KEY UPDATE)"};
constinit Statement lock_reward{R"(
    SELECT r.cost_points, r.condition, r.max_per_customer,
           r.status = 'active' AND coalesce(r.valid_from <= $2, true) AND coalesce($2 < r.valid_until, true),
           $2 + r.keeps_for, coalesce(r.taken < r.stock, true)
    FROM @.loyalty_rewards AS r
    WHERE r.id = $1 FOR NO KEY UPDATE)"};
constinit Statement count_taken{R"(
    SELECT count(*)
    FROM @.reward_redemptions AS r
    WHERE r.reward_id = $1 AND r.customer_id = $2 AND r.status IN ('reserved', 'redeemed'))"};
constinit Statement spend{R"(
    INSERT INTO @.points_entries (id, customer_id, kind, points, source_type, source_id, rule_code)
    VALUES ($1, $2, 'spend', -$3, 'reward', $4, 'reward'))"};
constinit Statement give_back{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code, reverses)
    SELECT e.customer_id, 'give_back', -sum(o.points), 'reward', $2, 'reward', e.id
    FROM @.points_entries AS e JOIN @.points_entries AS o ON o.id = e.id OR o.reverses = e.id
    WHERE e.id = $1
    GROUP BY e.id
    HAVING sum(o.points) < 0)"};
constinit Statement change_taken{R"(
    UPDATE @.loyalty_rewards AS r
    SET taken = r.taken + $2
    WHERE r.id = $1)"};

[[noreturn]] void refuse(const TableRow &row, std::string_view rule) {
    throw Error(errc::reward_unavailable, "reward cannot be taken",
                json::Object()
                    .add("reward_id", row.uuid(reward_id))
                    .add("customer_id", row.uuid(customer_id))
                    .add("rule", rule)
                    .text());
}

HeapTuple reserve(const Schema &schema, const TableRow &row) {
    const Uuid reward = row.uuid(reward_id), customer = row.uuid(customer_id);
    const Instant now = pg::statement_time();
    if (lock_account.run(schema, {pg::uuid(customer)}).empty())
        throw Error(errc::insufficient_points, "customer has no points",
                    json::Object().add("customer_id", customer).add("balance", std::int64_t{0}).text());
    const pg::Rows rewards = lock_reward.run(schema, {pg::uuid(reward), pg::timestamptz(now)});
    if (rewards.empty())
        throw Error(errc::unknown_reference, "reward does not exist", json::Object().add("reward_id", reward).text());
    const pg::Row terms = rewards.front();
    if (!terms.boolean(3)) refuse(row, "not_offered_now");
    if (!terms.boolean(5)) refuse(row, "out_of_stock");
    if (!terms.is_null(2) &&
        count_taken.run(schema, {pg::uuid(reward), pg::uuid(customer)}).front().int8(0) >= terms.int4(2))
        refuse(row, "taken_by_customer");
    const Customer known = read_customer(schema, customer, now);
    if (!holds(parse_expression(terms.text(1), "condition", false), known.facts, {}, pg::poll))
        refuse(row, "condition");
    const Uuid redemption = pg::new_uuid(), entry = pg::new_uuid();
    spend.run(schema, {pg::uuid(entry), pg::uuid(customer), terms.param(0), pg::uuid(redemption)});
    const Following following;
    change_taken.run(schema, {pg::uuid(reward), pg::int4(1)});
    return row.with({{id, pg::uuid(redemption)},
                     {cost_points, terms.param(0)},
                     {entry_id, pg::uuid(entry)},
                     {expires_at, terms.param(4)}});
}

HeapTuple check_change(const TableRow &before, const TableRow &row) {
    for (const Column each : {id, reward_id, customer_id, cost_points, entry_id})
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "what a redemption is of cannot change",
                        json::Object().add("redemption_id", before.uuid(id)).text());
    if (!row.differs(before, status) || row.text(status) != "redeemed") return row.tuple();
    const Instant now = pg::statement_time();
    if (now >= before.optional_time(expires_at).value_or(now)) refuse(row, "expired");
    const std::optional<Uuid> actor = kit::current_user();
    return row.with({{redeemed_at, pg::timestamptz(now)}, {redeemed_by, pg::uuid_or_null(actor ? &*actor : nullptr)}});
}
} // namespace

} // namespace usher::loyalty

/// _check_redemption(): BEFORE INSERT OR UPDATE on reward_redemptions, for each row
USHER_FUNCTION(usher_loyalty_check_redemption) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, true, "reward_redemptions");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (!trigger.is_update) return PointerGetDatum(reserve(trigger.schema, row));
    return PointerGetDatum(check_change(TableRow(trigger.before(), relation, numbers), row));
}

/// _follow_redemption(): AFTER UPDATE on reward_redemptions, for each row
USHER_FUNCTION(usher_loyalty_follow_redemption) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, false, "reward_redemptions");
    if (kit::is_restoring() || !trigger.is_update) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    const std::string_view now = row.text(status);
    if (!row.differs(TableRow(trigger.before(), relation, numbers), status) || (now != "reversed" && now != "expired"))
        return Datum{0};
    lock_account.run(trigger.schema, {pg::uuid(row.uuid(customer_id))});
    give_back.run(trigger.schema, {pg::uuid(row.uuid(entry_id)), pg::uuid(row.uuid(id))});
    const Following following;
    change_taken.run(trigger.schema, {pg::uuid(row.uuid(reward_id)), pg::int4(-1)});
    return Datum{0};
}
