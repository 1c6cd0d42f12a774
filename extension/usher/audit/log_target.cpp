#include "usher/audit/log_target.hpp"
#include "pg/args.hpp"
#include "pg/table_form.hpp"

namespace usher::audit {

namespace {
/// usher.audit_logs and its partitions, by Position
constexpr std::array<pg::ColumnForm, position_count> columns{{{"id", UUIDOID, true},
                                                              {"created_at", TIMESTAMPTZOID, true},
                                                              {"event_type", TEXTOID, true},
                                                              {"action", TEXTOID, true},
                                                              {"severity", TEXTOID, true},
                                                              {"source", TEXTOID, true},
                                                              {"result", TEXTOID, true},
                                                              {"actor_id", UUIDOID},
                                                              {"actor_name", TEXTOID},
                                                              {"session_id", UUIDOID},
                                                              {"database_user", TEXTOID, true},
                                                              {"client_ip", INETOID},
                                                              {"user_agent", TEXTOID},
                                                              {"correlation_id", TEXTOID},
                                                              {"resource_type", TEXTOID},
                                                              {"resource_id", TEXTOID},
                                                              {"key", JSONBOID},
                                                              {"old_values", JSONBOID},
                                                              {"new_values", JSONBOID},
                                                              {"event_data", JSONBOID, true},
                                                              {"error_message", TEXTOID},
                                                              {"metadata", JSONBOID, true},
                                                              {"transaction_id", INT8OID, true},
                                                              {"statement_id", INT4OID},
                                                              {"subject_id", UUIDOID},
                                                              {"value_salt", UUIDOID},
                                                              {"value_digest", BYTEAOID}}};
constexpr std::array checks{"event_type <> '' AND octet_length(event_type) <= 100",
                            "action <> '' AND octet_length(action) <= 100",
                            "severity IN ('debug', 'info', 'notice', 'warning', 'error', 'critical')",
                            "source <> '' AND octet_length(source) <= 100",
                            "result IN ('success', 'failure', 'denied')",
                            "id >= usher._first_id_at(created_at - interval '1 second')"
                            " AND id < usher._first_id_at(created_at + interval '1 second')",
                            "subject_id IS NULL OR value_salt IS NOT NULL OR value_digest IS NOT NULL"};
constexpr pg::TableForm partition_form{.columns = columns, .checks = checks, .is_partition = true};

constinit pg::TargetPool<LogTarget, 1> pool{"usher audit partition"};

/// May a row of a statement differ from the others in this column?
bool differs_by_row(int position) {
    return position == id || position == event_type || position == action || position == resource_id_column ||
           position == key || position == old_values || position == new_values || position == subject_id ||
           position == value_salt;
}

/// Which of these columns does the predicate ask for?
bool asks(List *predicate, std::initializer_list<int> positions) {
    Bitmapset *asked = nullptr;
    pull_varattnos(reinterpret_cast<Node *>(predicate), 1, &asked);
    return std::any_of(positions.begin(), positions.end(), [&](int position) {
        return bms_is_member(position + 1 - FirstLowInvalidHeapAttributeNumber, asked);
    });
}

/// Does the predicate have one answer for all rows of a statement with the same subject and action?
bool is_same_for_all(List *predicate) {
    Bitmapset *asked = nullptr;
    pull_varattnos(reinterpret_cast<Node *>(predicate), 1, &asked);
    for (int member = -1; (member = bms_next_member(asked, member)) >= 0;) {
        const int position = member + FirstLowInvalidHeapAttributeNumber - 1;
        const bool is_asked_by_row = position == subject_id || position == action || position == event_type;
        if (position < 0 || (differs_by_row(position) && !is_asked_by_row)) return false;
    }
    return true;
}

/// Is it an index that the executor knows nothing more about?
bool is_plain_index(Relation relation, const IndexInfo &index) {
    return pg::is_index_of_columns(index) && index.ii_ExclusionOps == nullptr &&
           (!index.ii_Unique || relation->rd_index->indimmediate) && is_same_for_all(index.ii_Predicate);
}

/// False when the index needs the executor.
bool add_index(LogTarget &target, Oid oid) {
    Relation const relation = index_open(oid, RowExclusiveLock);
    IndexInfo *const info = BuildIndexInfo(relation);
    const bool is_plain = is_plain_index(relation, *info);
    if (is_plain && info->ii_ReadyForInserts) {
        LogIndex &index = target.indexes[target.index_count++];
        index.oid = oid;
        index.info = info;
        // The predicate comes from the relation cache, simplified already; the executor would plan it first.
        index.predicate = info->ii_Predicate == NIL ? nullptr : ExecInitQual(info->ii_Predicate, nullptr);
        index.asks_subject = asks(info->ii_Predicate, {subject_id});
        index.asks_action = asks(info->ii_Predicate, {action, event_type});
        index.check = info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
    }
    index_close(relation, NoLock);
    return is_plain;
}

bool learn(LogTarget &target, Relation partition) {
    if (!pg::admits_rows(partition, pg::Bypass::all, &partition_form)) return false;
    List *const oids = RelationGetIndexList(partition);
    target.indexes = static_cast<LogIndex *>(palloc0(sizeof(LogIndex) * (list_length(oids) + 1)));
    ListCell *cell = nullptr;
    foreach (cell, oids)
        if (!add_index(target, lfirst_oid(cell))) return false;
    target.context = CreateStandaloneExprContext();
    target.context->ecxt_scantuple =
        MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(partition)), &TTSOpsVirtual);
    return true;
}
} // namespace

Oid find_log() {
    static constinit Oid found = InvalidOid;
    static constinit std::uint64_t changes = 0;
    if (!OidIsValid(found) || changes != pg::relation_changes()) {
        changes = pg::relation_changes();
        found = get_relname_relid("audit_logs", get_namespace_oid("usher", false));
    }
    return found;
}

namespace {
/// May its owner write rows past the log itself, straight into its partitions?
bool may_pass_by(Relation log) {
    static constinit Oid known = InvalidOid;
    static constinit std::uint64_t changes = 0;
    static constinit bool may = false;
    if (known == RelationGetRelid(log) && changes == pg::relation_changes()) return may;
    changes = pg::relation_changes(); // before anything is read
    may = pg::admits_rows(log, pg::Bypass::parent);
    known = RelationGetRelid(log);
    return may;
}

/// InvalidOid when there is none for the instant.
Oid find_partition(Relation log, TimestampTz instant) {
    PartitionKey const partition_key = RelationGetPartitionKey(log);
    PartitionDesc const partitions = RelationGetPartitionDesc(log, !IsolationUsesXactSnapshot()); // as the executor
    if (partition_key == nullptr || partition_key->strategy != PARTITION_STRATEGY_RANGE ||
        partition_key->partnatts != 1 || partitions->nparts == 0)
        return InvalidOid;
    PartitionBoundInfo const bounds = partitions->boundinfo;
    Datum value = TimestampTzGetDatum(instant);
    bool is_equal = false;
    const int bound = partition_range_datum_bsearch(partition_key->partsupfunc, partition_key->partcollation, bounds, 1,
                                                    &value, &is_equal);
    int index = bounds->indexes[bound + 1];
    if (index < 0) index = bounds->default_index;
    return index < 0 ? InvalidOid : partitions->oids[index];
}
} // namespace

Relation lock_partition(Relation log, TimestampTz instant) {
    for (;;) {
        const std::uint64_t changes = pg::relation_changes();
        const Oid found = find_partition(log, instant);
        if (!OidIsValid(found)) return nullptr;
        Relation const partition = try_table_open(found, RowExclusiveLock);
        if (partition != nullptr) {
            // Whoever we have waited for may have attached a partition for this instant, or taken this one away.
            if (pg::relation_changes() == changes || find_partition(log, instant) == found) return partition;
            table_close(partition, RowExclusiveLock);
        }
        CHECK_FOR_INTERRUPTS();
    }
}

LogTarget *open_target(Relation log, Relation partition) {
    const Oid oid = RelationGetRelid(partition);
    if (LogTarget *const found = pool.take(oid)) return found;
    return pool.make(oid, [=](LogTarget &fresh) { fresh.is_plain = may_pass_by(log) && learn(fresh, partition); });
}

void close_target(LogTarget *target) { pool.keep(target); }

namespace {
/// What predicates see: the values that all rows of a statement have, and those of a row that they may ask for.
TupleTableSlot *fill_slot(const LogTarget &target, const Datum *values, const bool *nulls, const Asked &row) {
    TupleTableSlot *const slot = target.context->ecxt_scantuple;
    ExecClearTuple(slot);
    std::copy_n(values, static_cast<int>(position_count), slot->tts_values);
    for (int i = 0; i < position_count; ++i) slot->tts_isnull[i] = nulls[i] || differs_by_row(i);
    const auto set = [slot](Position position, Datum value) {
        slot->tts_values[position] = value;
        slot->tts_isnull[position] = value == 0;
    };
    set(event_type, row.event_type);
    set(action, row.action);
    set(subject_id, row.subject);
    return ExecStoreVirtualTuple(slot);
}
} // namespace

int find_indexes(const LogTarget &target, const Datum *values, const bool *nulls, bool varies, const LogIndex **found) {
    TupleTableSlot *const slot = fill_slot(target, values, nulls, {values[event_type], values[action], 0});
    int count = 0;
    for (const LogIndex *index = target.indexes; index != target.indexes + target.index_count; ++index)
        if (index->predicate == nullptr || (index->asks_subject && !nulls[subject_id]) ||
            (index->asks_action && varies) || ExecQual(index->predicate, target.context))
            found[count++] = index;
    ResetExprContext(target.context);
    ExecClearTuple(slot);
    return count;
}

bool takes_row(const LogTarget &target, const LogIndex &index, const Datum *values, const bool *nulls,
               const Asked &row) {
    TupleTableSlot *const slot = fill_slot(target, values, nulls, row);
    const bool takes = ExecQual(index.predicate, target.context);
    ResetExprContext(target.context);
    ExecClearTuple(slot);
    return takes;
}

} // namespace usher::audit

/// usher._writes_directly(partition regclass)
USHER_FUNCTION(usher_audit_writes_directly) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const Oid wanted = args.oid(0);
    const bool is_plain = pg::call([&] {
        Relation const log = table_open(audit::find_log(), AccessShareLock);
        Relation const partition = try_table_open(wanted, AccessShareLock);
        if (partition == nullptr) ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation does not exist"));
        audit::LogTarget *const target = audit::open_target(log, partition);
        const bool found = target->is_plain;
        audit::close_target(target);
        table_close(partition, NoLock);
        table_close(log, NoLock);
        return found;
    });
    return BoolGetDatum(is_plain);
}
