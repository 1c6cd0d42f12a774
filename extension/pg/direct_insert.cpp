#include "pg/direct_insert.hpp"

namespace usher::pg {

namespace {
constexpr std::size_t max_columns = 32;

/// Are there no triggers on INSERT but those of foreign keys?
bool has_own_triggers(Relation table, bool may_refer) {
    const TriggerDesc *const triggers = table->trigdesc;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
        const Trigger &each = triggers->triggers[i];
        if (TRIGGER_FOR_INSERT(each.tgtype) && !(may_refer && each.tgfoid == F_RI_FKEY_CHECK_INS)) return true;
    }
    return false;
}

bool looks_so(Relation table, const TableForm &form) {
    const TupleDesc desc = RelationGetDescr(table);
    if (table->rd_rel->relkind != RELKIND_RELATION || table->rd_rel->relam != HEAP_TABLE_AM_OID ||
        table->rd_rel->relrowsecurity || table->rd_rel->relispartition || has_own_triggers(table, form.may_refer) ||
        static_cast<std::size_t>(desc->natts) != form.columns.size() || desc->natts > static_cast<int>(max_columns))
        return false;
    if (desc->constr != nullptr && (desc->constr->num_check != form.checks || desc->constr->has_generated_stored))
        return false;
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || std::strcmp(NameStr(attribute->attname), form.columns[i]) != 0) return false;
    }
    return true;
}

/// Predicates of partial indexes, ready to run. The server would plan each first, which costs more than a row; theirs
/// come from the relation cache, simplified already.
void prepare_predicates(const ResultRelInfo &result, MemoryContext context) {
    MemoryContext const caller = MemoryContextSwitchTo(context);
    for (int i = 0; i < result.ri_NumIndices; ++i) {
        IndexInfo *const index = result.ri_IndexRelationInfo[i];
        if (index->ii_Predicate != NIL) index->ii_PredicateState = ExecInitQual(index->ii_Predicate, nullptr);
    }
    MemoryContextSwitchTo(caller);
}

/// Plain frame, like all above. -1 when the table does not look so.
std::int64_t insert_rows(Oid oid, const TableForm &form, std::span<const Param> values) {
    Relation const table = table_open(oid, RowExclusiveLock);
    if (!looks_so(table, form)) {
        table_close(table, NoLock);
        return -1;
    }
    EState *const estate = CreateExecutorState();
    MemoryContext const caller = MemoryContextSwitchTo(estate->es_query_cxt);
    ResultRelInfo *const result = makeNode(ResultRelInfo);
    InitResultRelInfo(result, table, 0, nullptr, 0);
    ExecOpenIndices(result, false);
    prepare_predicates(*result, estate->es_query_cxt);
    TupleTableSlot *const slot = table_slot_create(table, nullptr);
    const CommandId command = GetCurrentCommandId(true);
    const std::size_t columns = form.columns.size();
    std::int64_t placed = 0;
    for (; values.size() >= columns; values = values.subspan(columns)) {
        CHECK_FOR_INTERRUPTS();
        ExecClearTuple(slot);
        MemoryContextSwitchTo(GetPerTupleMemoryContext(estate)); // emptied with each row
        for (std::size_t i = 0; i < columns; ++i) {
            slot->tts_isnull[i] = values[i].kind == Param::Kind::null;
            slot->tts_values[i] = to_datum(values[i]);
        }
        MemoryContextSwitchTo(estate->es_query_cxt);
        ExecStoreVirtualTuple(slot);
        if (!form.skips_conflicts) {
            table_tuple_insert(table, slot, command, 0, nullptr);
            if (result->ri_NumIndices > 0) insert_index_entries(result, slot, estate);
            ++placed;
        } else {
            // As INSERT … ON CONFLICT DO NOTHING, without looking for rivals beforehand: there are none, nearly always.
            const TransactionId transaction = GetCurrentTransactionId();
            const uint32 token = SpeculativeInsertionLockAcquire(transaction);
            table_tuple_insert_speculative(table, slot, command, 0, nullptr, token);
            const bool is_alone = insert_index_entries_unless_conflict(result, slot, estate);
            table_tuple_complete_speculative(table, slot, token, is_alone);
            SpeculativeInsertionLockRelease(transaction);
            placed += is_alone ? 1 : 0;
        }
        ExecClearTuple(slot);
        ResetPerTupleExprContext(estate);
    }
    ExecDropSingleTupleTableSlot(slot);
    ExecCloseIndices(result);
    MemoryContextSwitchTo(caller);
    FreeExecutorState(estate);
    table_close(table, NoLock);
    CommandCounterIncrement(); // what runs next sees them, as after a statement
    return placed;
}
} // namespace

std::optional<std::size_t> insert_directly(Oid table, const TableForm &form, std::span<const Param> values) {
    const std::int64_t placed = call([&] { return insert_rows(table, form, values); });
    return placed < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(placed));
}

} // namespace usher::pg
