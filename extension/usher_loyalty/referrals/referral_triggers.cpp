// The row triggers of referrals. BEFORE INSERT: nobody is brought by somebody whom they have brought, however many are
// between; each new referral changes one guard row first, so that two that would close a circle together come one after
// the other. Locks: the guard, referrals, accounts.
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/tiers/review_tier.hpp"

namespace usher::loyalty {

namespace {
enum Column : std::uint8_t { id, referrer_id, referee_id, status, referrer_points, referee_points, flags, program };
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},         ColumnForm{"referrer_id", UUIDOID},     ColumnForm{"referee_id", UUIDOID},
    ColumnForm{"status", TEXTOID},     ColumnForm{"referrer_points", INT8OID}, ColumnForm{"referee_points", INT8OID},
    ColumnForm{"flags", TEXTARRAYOID}, ColumnForm{"program", TEXTOID}};
constinit Columns<forms.size()> columns{forms};

constinit Statement change_guard{R"(
    INSERT INTO @.referral_guards AS g (id, changes)
    VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET changes = g.changes + 1)"};
// UNION ends a circle that is there already: by a dump that was edited, say.
constinit Statement find_above{R"(
    WITH RECURSIVE above (customer_id) AS (
        SELECT $1::uuid
        UNION
        SELECT r.referrer_id FROM above AS a JOIN @.referrals AS r ON r.referee_id = a.customer_id)
    SELECT FROM above AS a WHERE a.customer_id = $2)"};
constinit Statement find_closed{R"(
    SELECT FROM @.points_accounts AS a
    WHERE a.customer_id = $1 AND a.closed_at IS NOT NULL)"};
constinit Statement find_common{R"(
    SELECT coalesce(pg_catalog.array_agg(DISTINCT a.kind ORDER BY a.kind), '{}')
    FROM @.referral_signals AS a JOIN @.referral_signals AS b ON b.kind = a.kind AND b.value_hash = a.value_hash
    WHERE a.customer_id = $1 AND b.customer_id = $2)"};
constinit Statement read_terms{R"(
    SELECT p.referrer_points, p.referee_points
    FROM @.referral_programs AS p
    WHERE p.code = $1)"};
constinit Statement reward{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, source_type, source_id, rule_code)
    SELECT v.customer_id, 'earn', v.points, 'referral', $1, 'referral'
    FROM (VALUES ($2, $4::bigint), ($3, $5)) AS v (customer_id, points)
    WHERE v.points > 0
    ORDER BY v.customer_id)"};

[[noreturn]] void refuse(const TableRow &row, std::string_view rule) {
    throw Error(errc::referral_refused, "referral is not possible",
                json::Object()
                    .add("referrer_id", row.uuid(referrer_id))
                    .add("referee_id", row.uuid(referee_id))
                    .add("rule", rule)
                    .text());
}

HeapTuple check_insert(const Schema &schema, const TableRow &row) {
    const Uuid referrer = row.uuid(referrer_id), referee = row.uuid(referee_id);
    if (referrer == referee) refuse(row, "self");
    change_guard.run(schema, std::span<const pg::Param>{});
    if (!find_above.run(schema, {pg::uuid(referrer), pg::uuid(referee)}).empty()) refuse(row, "circle");
    if (!find_closed.run(schema, {pg::uuid(referrer)}).empty()) refuse(row, "referrer_is_gone");
    const pg::Rows terms = read_terms.run(schema, {pg::text(row.text(program))});
    if (terms.empty()) return row.tuple(); // the foreign key refuses
    const pg::Rows common = find_common.run(schema, {pg::uuid(referrer), pg::uuid(referee)});
    return row.with({{referrer_points, terms.front().param(0)},
                     {referee_points, terms.front().param(1)},
                     {flags, common.front().param(0)}});
}
} // namespace

} // namespace usher::loyalty

/// _check_referral(): BEFORE INSERT OR UPDATE on referrals, for each row
USHER_FUNCTION(usher_loyalty_check_referral) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, true, "referrals");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (!trigger.is_update) return PointerGetDatum(check_insert(trigger.schema, row));
    const TableRow before(trigger.before(), relation, numbers);
    for (const Column each : {id, referrer_id, referee_id, program, referrer_points, referee_points})
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "who has brought whom, and for what, cannot change",
                        json::Object().add("referral_id", before.uuid(id)).text());
    return PointerGetDatum(row.tuple());
}

/// _follow_referral(): AFTER UPDATE on referrals, for each row
USHER_FUNCTION(usher_loyalty_follow_referral) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, false, "referrals");
    if (kit::is_restoring() || !trigger.is_update) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (row.text(status) != "rewarded" || !row.differs(TableRow(trigger.before(), relation, numbers), status))
        return Datum{0};
    reward.run(trigger.schema, {pg::uuid(row.uuid(id)), pg::uuid(row.uuid(referrer_id)), pg::uuid(row.uuid(referee_id)),
                                pg::int8(row.int8(referrer_points)), pg::int8(row.int8(referee_points))});
    for (const Column each : {referrer_id, referee_id}) review_tier(trigger.schema, row.uuid(each));
    return Datum{0};
}
