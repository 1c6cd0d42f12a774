#include "audit/log_target.hpp"
#include "pg/cache.hpp"
#include "pg/direct_insert.hpp"

namespace usher::audit {

namespace {
constexpr const char *names[position_count] = {"id",
                                               "created_at",
                                               "event_type",
                                               "action",
                                               "severity",
                                               "source",
                                               "result",
                                               "actor_id",
                                               "actor_name",
                                               "session_id",
                                               "database_user",
                                               "client_ip",
                                               "user_agent",
                                               "correlation_id",
                                               "resource_type",
                                               "resource_id",
                                               "key",
                                               "old_values",
                                               "new_values",
                                               "event_data",
                                               "error_message",
                                               "metadata",
                                               "transaction_id",
                                               "statement_id"};

constinit LogTarget *kept = nullptr; // between statements

/// A local table with the columns where we expect them, and nothing that the executor would do on INSERT?
bool is_plain_table(Relation partition) {
    const Form_pg_class form = partition->rd_rel;
    const TupleDesc desc = RelationGetDescr(partition);
    if (form->relkind != RELKIND_RELATION || form->relam != HEAP_TABLE_AM_OID || form->relrowsecurity ||
        desc->natts != position_count || pg::has_insert_triggers(partition))
        return false;
    for (int i = 0; i < position_count; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || std::strcmp(NameStr(attribute->attname), names[i]) != 0) return false;
    }
    return true;
}

/// May a row of a statement differ from the others in this column?
bool differs_by_row(int position) {
    return position == id || position == event_type || position == action || position == resource_id_column ||
           position == key || position == old_values || position == new_values;
}

/// Does the predicate have one answer for all rows of a statement?
bool is_same_for_all(List *predicate) {
    Bitmapset *columns = nullptr;
    pull_varattnos(reinterpret_cast<Node *>(predicate), 1, &columns);
    for (int member = -1; (member = bms_next_member(columns, member)) >= 0;) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        if (number <= 0 || differs_by_row(number - 1)) return false;
    }
    return true;
}

/// Is it an index of columns, without anything that the executor knows more about?
bool is_plain_index(Relation relation, const IndexInfo &index) {
    if (index.ii_Expressions != NIL || index.ii_ExclusionOps != nullptr) return false;
    if (index.ii_Unique && !relation->rd_index->indimmediate) return false;
    if (!is_same_for_all(index.ii_Predicate)) return false;
    return std::all_of(index.ii_IndexAttrNumbers, index.ii_IndexAttrNumbers + index.ii_NumIndexAttrs,
                       [](AttrNumber number) { return number > 0; });
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
        index.check = info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
    }
    index_close(relation, NoLock);
    return is_plain;
}

bool learn(LogTarget &target, Relation partition) {
    if (!is_plain_table(partition)) return false;
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

Oid find_partition(Relation log, TimestampTz instant) {
    if (pg::has_insert_triggers(log) || log->rd_rel->relrowsecurity) return InvalidOid;
    PartitionKey const partition_key = RelationGetPartitionKey(log);
    PartitionDesc const partitions = RelationGetPartitionDesc(log, true);
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

LogTarget *open_target(Relation partition) {
    const std::uint64_t changes = pg::relation_changes();
    LogTarget *const found = std::exchange(kept, nullptr);
    if (found != nullptr && found->partition == RelationGetRelid(partition) && found->changes == changes) {
        MemoryContextSetParent(found->memory, CurTransactionContext); // so that it goes with an ERROR
        return found;
    }
    if (found != nullptr) MemoryContextDelete(found->memory);
    MemoryContext const memory =
        AllocSetContextCreate(CurTransactionContext, "usher audit partition", ALLOCSET_SMALL_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(memory);
    auto *const made = static_cast<LogTarget *>(palloc0(sizeof(LogTarget)));
    made->memory = memory;
    made->partition = RelationGetRelid(partition);
    made->changes = changes;
    made->is_plain = learn(*made, partition);
    MemoryContextSwitchTo(caller);
    return made;
}

void close_target(LogTarget *target) {
    if (kept != nullptr) MemoryContextDelete(kept->memory); // of a statement within this one
    MemoryContextSetParent(target->memory, CacheMemoryContext);
    kept = target;
}

int find_indexes(const LogTarget &target, const Datum *values, const bool *nulls, const LogIndex **found) {
    TupleTableSlot *const slot = target.context->ecxt_scantuple;
    ExecClearTuple(slot);
    std::copy_n(values, static_cast<int>(position_count), slot->tts_values);
    for (int i = 0; i < position_count; ++i) slot->tts_isnull[i] = nulls[i] || differs_by_row(i);
    ExecStoreVirtualTuple(slot);
    int count = 0;
    for (const LogIndex *index = target.indexes; index != target.indexes + target.index_count; ++index)
        if (index->predicate == nullptr || ExecQual(index->predicate, target.context)) found[count++] = index;
    ResetExprContext(target.context);
    ExecClearTuple(slot);
    return count;
}

} // namespace usher::audit
