// usher.soft_delete(): rows are deactivated instead of deleted, and deleted_at follows is_active, or a status.
#include "common/json.hpp"
#include "pg/args.hpp"
#include "pg/kept_plans.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/trigger_call.hpp"
#include "pg/xact.hpp"
#include "usher/audit/audit.hpp"
#include "usher/events/events.hpp"
#include "usher/operations/restoring.hpp"
#include <memory>

namespace usher::timestamps {

namespace {
/// The relation that purge_deleted() is deleting from now: its rows may really go.
constinit Oid purged = InvalidOid;

class Purging {
public:
    explicit Purging(Oid relation) { purged = relation; }
    ~Purging() { purged = InvalidOid; }
    Purging(const Purging &) = delete;
    Purging &operator=(const Purging &) = delete;
};

struct Columns {
    int state; // is_active, or a status
    int deleted_at;
    const char *deleted_status; // of a status: the one of deleted rows; else nullptr
};

/// A row of a partition that a statement is updating.
struct Update {
    CommandId statement; // its number within the transaction
    Oid partition;
    ItemPointerData row;
};

/// The row that each running statement updates now, statements within others last. An update of the partition key is a
/// deletion here and an insertion there for the executor, and its BEFORE DELETE triggers cannot tell: what has just
/// been updated by the same statement is being moved, and is not to be deactivated.
std::vector<Update> &running_updates() {
    static auto *const updates = new std::vector<Update>; // never destroyed
    static constinit TimestampTz transaction = 0;
    const TimestampTz now = GetCurrentTransactionStartTimestamp();
    if (transaction != now) updates->clear();
    transaction = now;
    return *updates;
}

void note_update(const TriggerData *data) {
    if (!data->tg_relation->rd_rel->relispartition) return;
    std::vector<Update> &updates = running_updates();
    const CommandId statement = pg::running_statement();
    while (!updates.empty() && updates.back().statement >= statement) updates.pop_back(); // those within it have ended
    updates.push_back({statement, RelationGetRelid(data->tg_relation), data->tg_trigtuple->t_self});
}

bool is_moved(const TriggerData *data) {
    if (!data->tg_relation->rd_rel->relispartition) return false;
    const CommandId statement = pg::running_statement();
    for (Update &each : running_updates())
        if (each.statement == statement && each.partition == RelationGetRelid(data->tg_relation) &&
            ItemPointerEquals(&each.row, &data->tg_trigtuple->t_self))
            return true;
    return false;
}

const TriggerData *check_call(FunctionCallInfo fcinfo) {
    return pg::require_trigger(
        fcinfo,
        [](const TriggerData &data) {
            return TRIGGER_FIRED_BEFORE(data.tg_event) &&
                   (TRIGGER_FIRED_FOR_ROW(data.tg_event) || TRIGGER_FIRED_BY_TRUNCATE(data.tg_event));
        },
        "BEFORE INSERT, UPDATE or DELETE for each row, or BEFORE TRUNCATE",
        "Set it up with usher.enable_soft_delete().");
}

int find_column(const TriggerData *data, const char *name, Oid type) {
    const TupleDesc desc = RelationGetDescr(data->tg_relation);
    const int number = pg::call([&] { return SPI_fnumber(desc, name); });
    if (number <= 0 || TupleDescAttr(desc, number - 1)->atttypid != type)
        throw Error(errc::not_configured,
                    "relation " + json::quote(RelationGetRelationName(data->tg_relation)) + " has no column " + name +
                        " of the right type",
                    "", "Set it up with usher.enable_soft_delete().");
    return number;
}

Columns find_columns(const TriggerData *data) {
    const Trigger *const trigger = data->tg_trigger;
    const bool has_status = trigger->tgnargs == 3;
    return {has_status ? find_column(data, trigger->tgargs[1], TEXTOID) : find_column(data, "is_active", BOOLOID),
            find_column(data, "deleted_at", TIMESTAMPTZOID), has_status ? trigger->tgargs[2] : nullptr};
}

/// Whether the row is in use; nullopt for NULL. For frames that stay plain.
std::optional<bool> is_active(HeapTuple row, TupleDesc desc, const Columns &columns) {
    bool is_null = false;
    const Datum state = heap_getattr(row, columns.state, desc, &is_null);
    if (is_null) return std::nullopt;
    if (columns.deleted_status == nullptr) return DatumGetBool(state);
    const auto *const status = DatumGetTextPP(state);
    return std::string_view(VARDATA_ANY(status), VARSIZE_ANY_EXHDR(status)) != columns.deleted_status;
}

/// The row with deleted_at as its state demands it; the row itself when both agree.
HeapTuple stamp(const TriggerData *data, const Columns &columns) {
    const HeapTuple row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
    return pg::call([&] {
        const TupleDesc desc = RelationGetDescr(data->tg_relation);
        const std::optional<bool> active = is_active(row, desc, columns);
        bool no_time = false;
        (void)heap_getattr(row, columns.deleted_at, desc, &no_time);
        if (!active || *active == no_time) return row; // NULL is for the column's constraint to refuse
        int number = columns.deleted_at;
        Datum value = *active ? 0 : TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
        bool is_null = *active;
        return heap_modify_tuple_by_cols(row, desc, 1, &number, &value, &is_null);
    });
}

/// The plan that deactivates one row of the table, by the table's name: when it is renamed it gets another.
pg::Plan find_plan(Relation relation) {
    static auto *const kept = new pg::KeptPlans<std::string>(64); // never destroyed
    const char *const name = pg::call([&] {
        return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                          RelationGetRelationName(relation));
    });
    const std::string query =
        std::string("UPDATE ONLY ") + name +
        " SET is_active = false, deleted_at = pg_catalog.now() WHERE ctid OPERATOR(pg_catalog.=) $1";
    return kept->find(query, [&] { return pg::make_plan(query, std::array<Oid, 1>{TIDOID}); });
}

/// With the rights of whoever deletes: a deactivation is an update, and obeys grants and policies for updates.
void deactivate(const TriggerData *data) {
    const pg::Plan plan = find_plan(data->tg_relation);
    const std::uint64_t count = pg::call([&] {
        SPI_connect();
        Datum row = PointerGetDatum(&data->tg_trigtuple->t_self);
        SPI_execute_plan(plan.get(), &row, nullptr, false, 0);
        const std::uint64_t processed = SPI_processed;
        SPI_finish();
        return processed;
    });
    if (count == 0)
        throw Error(errc::not_permitted, "row of relation " + json::quote(RelationGetRelationName(data->tg_relation)) +
                                             " cannot be deactivated: a trigger or policy keeps it as it is");
}

bool has_mode(const TriggerData *data, const char *mode) {
    return data->tg_trigger->tgnargs > 0 && std::strcmp(data->tg_trigger->tgargs[0], mode) == 0;
}

[[noreturn]] void refuse_truncate(const TriggerData *data) {
    const std::string name = json::quote(RelationGetRelationName(data->tg_relation));
    throw Error(errc::deletion_refused, "relation " + name + " cannot be truncated: its rows are only deactivated",
                R"({"relation":)" + name + "}",
                "Deactivate its rows and remove them with usher.purge_deleted(), or call usher.disable_soft_delete().");
}

/// The row itself when it may go, nullptr when it stays.
HeapTuple remove(const TriggerData *data, const Columns &columns) {
    const Oid relation = RelationGetRelid(data->tg_relation);
    if (is_moved(data)) return data->tg_trigtuple;
    if (OidIsValid(purged) && (relation == purged || pg::call([&] {
                                   return data->tg_relation->rd_rel->relispartition &&
                                          list_member_oid(get_partition_ancestors(relation), purged);
                               })))
        return data->tg_trigtuple;
    if (has_mode(data, "allow")) return data->tg_trigtuple;
    if (has_mode(data, "refuse"))
        throw Error(errc::deletion_refused,
                    "rows of relation " + json::quote(RelationGetRelationName(data->tg_relation)) +
                        " cannot be deleted",
                    R"({"relation":)" + json::quote(RelationGetRelationName(data->tg_relation)) + "}",
                    "Set is_active = false instead.");
    if (data->tg_relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
        throw Error(errc::deletion_refused,
                    "rows of foreign table " + json::quote(RelationGetRelationName(data->tg_relation)) +
                        " cannot be deactivated by deleting them",
                    R"({"relation":)" + json::quote(RelationGetRelationName(data->tg_relation)) + "}",
                    "Set is_active = false instead.");
    const bool active = pg::call(
        [&] { return is_active(data->tg_trigtuple, RelationGetDescr(data->tg_relation), columns).value_or(false); });
    if (active) deactivate(data);
    return nullptr;
}
/// The value of the only column of the primary key, as text.
std::string key_of(const TriggerData *data) {
    const char *const key = pg::call([&]() -> const char * {
        const Relation relation = data->tg_relation;
        const Bitmapset *const columns = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
        int column = 0;
        if (!bms_get_singleton_member(columns, &column)) return nullptr;
        return SPI_getvalue(data->tg_newtuple, RelationGetDescr(relation), column + FirstLowInvalidHeapAttributeNumber);
    });
    if (key == nullptr)
        throw Error(errc::not_configured, "relation " + json::quote(RelationGetRelationName(data->tg_relation)) +
                                              " has no primary key of one column");
    return key;
}
} // namespace

} // namespace usher::timestamps

USHER_FUNCTION(usher_timestamps_soft_delete) {
    using namespace usher;
    using namespace usher::timestamps;
    const TriggerData *const data = check_call(fcinfo);
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    if (operations::is_restoring()) return PointerGetDatum(is_update ? data->tg_newtuple : data->tg_trigtuple);
    if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event)) refuse_truncate(data);
    const Columns columns = find_columns(data);
    if (is_update) note_update(data);
    return PointerGetDatum(TRIGGER_FIRED_BY_DELETE(data->tg_event) ? remove(data, columns) : stamp(data, columns));
}

/// usher.announce_soft_delete(): AFTER UPDATE, for each row, with the first word of the names of the events.
USHER_FUNCTION(usher_timestamps_announce_soft_delete) {
    using namespace usher;
    using namespace usher::timestamps;
    const TriggerData *const data = pg::require_trigger(
        fcinfo,
        [](const TriggerData &called) {
            return TRIGGER_FIRED_AFTER(called.tg_event) && TRIGGER_FIRED_FOR_ROW(called.tg_event) &&
                   TRIGGER_FIRED_BY_UPDATE(called.tg_event) && called.tg_trigger->tgnargs == 1;
        },
        "AFTER UPDATE for each row, with one argument", "Set it up with usher.enable_soft_delete().");
    const Datum nothing = Datum{0};
    if (operations::is_restoring()) return nothing;
    const Columns columns{find_column(data, "is_active", BOOLOID), 0, nullptr};
    const auto [before, after] = pg::call([&] {
        const TupleDesc desc = RelationGetDescr(data->tg_relation);
        return std::array{is_active(data->tg_trigtuple, desc, columns), is_active(data->tg_newtuple, desc, columns)};
    });
    if (before == after || !after) return nothing;
    const std::string key = key_of(data);
    const audit::Actor actor = audit::current_actor();
    // for the owner of the table, as the events of machines are
    events::publish(std::string(data->tg_trigger->tgargs[0]) + (*after ? ".restored" : ".deactivated"),
                    R"({"id":)" + json::quote(key) + R"(,"actor_id":)" +
                        (actor.user_id ? json::quote(to_string(*actor.user_id)) : "null") + "}",
                    key, data->tg_relation->rd_rel->relowner);
    return nothing;
}

/// usher.purge_deleted(relation, older_than, max_rows)
USHER_FUNCTION(usher_timestamps_purge_deleted) {
    using namespace usher;
    using namespace usher::timestamps;
    const pg::Args args(fcinfo);
    const Oid relation = args.oid(0);
    const std::int64_t older_than = args.interval_us(1);
    const std::int32_t max_rows = args.int4(2);
    if (older_than < 0) throw Error(errc::invalid_argument, "older_than must not be negative");
    if (max_rows < 1) throw Error(errc::invalid_argument, "max_rows must be at least 1");
    const char *const name = pg::call([&]() -> const char * {
        const char *const table = get_rel_name(relation);
        return table == nullptr ? nullptr
                                : quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), table);
    });
    if (name == nullptr) throw Error(errc::invalid_argument, "relation does not exist");
    if (pg::call([&] {
            return get_attnum(relation, "is_active") == InvalidAttrNumber ||
                   get_attnum(relation, "deleted_at") == InvalidAttrNumber;
        }))
        throw Error(errc::invalid_argument, std::string("relation ") + name + " has no soft delete", "",
                    "Set it up with usher.enable_soft_delete().");
    const Purging purging(relation);
    const std::string query =
        std::string("DELETE FROM ") + name + " t WHERE (t.tableoid, t.ctid) IN (SELECT d.tableoid, d.ctid FROM " +
        name +
        " d WHERE NOT d.is_active AND d.deleted_at OPERATOR(pg_catalog.<=) (pg_catalog.now() OPERATOR(pg_catalog.-) $1)"
        " LIMIT $2)";
    const std::uint64_t count = pg::call([&] {
        SPI_connect();
        Oid types[] = {INTERVALOID, INT8OID};
        Datum values[] = {pg::to_datum(pg::interval(older_than)), Int64GetDatum(max_rows)};
        SPI_execute_with_args(query.c_str(), 2, types, values, nullptr, false, 0);
        const std::uint64_t processed = SPI_processed;
        SPI_finish();
        return processed;
    });
    return pg::result(pg::int8(static_cast<std::int64_t>(count)));
}
