#include "pg/direct_insert.hpp"
#include "pg/insert_target.hpp"

namespace usher::pg {

namespace {
constexpr std::size_t max_columns = 32;

/// Is it a table whose rows nobody but its constraints and triggers has a say in?
bool is_plain_table(Relation table) {
    const Form_pg_class form = table->rd_rel;
    return form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID && !form->relispartition &&
           table->rd_rules == nullptr;
}

bool looks_so(Relation table, const TableForm &form) {
    const TupleDesc desc = RelationGetDescr(table);
    if (!is_plain_table(table) || table->rd_rel->relrowsecurity || has_insert_triggers(table, form.may_refer) ||
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

/// Plain frame, like all above. -1 when the table does not look so.
std::int64_t insert_rows(Oid oid, const TableForm &form, std::span<const Param> values) {
    Relation const table = table_open(oid, RowExclusiveLock);
    if (!looks_so(table, form)) {
        table_close(table, NoLock);
        return -1;
    }
    MemoryContext const memory =
        AllocSetContextCreate(CurrentMemoryContext, "usher direct insert", ALLOCSET_DEFAULT_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(memory);
    InsertTarget *const target = open_target(table);
    EState *const estate = target->estate;
    ResultRelInfo *const result = target->result;
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
        MemoryContextSwitchTo(memory);
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
    close_target(target);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(memory);
    table_close(table, NoLock);
    CommandCounterIncrement(); // what runs next sees them, as after a statement
    return placed;
}

/// The value of each column: what is given, or its default. False when a column is not there, or of another type.
bool find_columns(Relation table, std::span<const char *const> columns, std::span<const Param> values,
                  const Param **by_column) {
    const TupleDesc desc = RelationGetDescr(table);
    std::fill_n(by_column, desc->natts, nullptr);
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const int number = SPI_fnumber(desc, columns[i]);
        if (number <= 0 || TupleDescAttr(desc, number - 1)->atttypid != values[i].type) return false;
        by_column[number - 1] = &values[i];
    }
    return true;
}

void fill(TupleTableSlot *slot, InsertTarget *target, const Param *const *by_column) {
    for (int i = 0; i < slot->tts_tupleDescriptor->natts; ++i) {
        if (by_column[i] == nullptr) {
            slot->tts_values[i] = default_of(target, i, &slot->tts_isnull[i]);
        } else {
            slot->tts_isnull[i] = by_column[i]->kind == Param::Kind::null;
            slot->tts_values[i] = to_datum(*by_column[i]);
        }
    }
    ExecStoreVirtualTuple(slot);
}

/// As the executor and COPY do it, step by step.
void insert_slot(Relation table, InsertTarget *target, TupleTableSlot *slot, TransitionCaptureState *capture) {
    EState *const estate = target->estate;
    ResultRelInfo *const result = target->result;
    const TriggerDesc *const triggers = result->ri_TrigDesc;
    if (triggers != nullptr && triggers->trig_insert_before_row && !ExecBRInsertTriggers(estate, result, slot)) return;
    slot->tts_tableOid = RelationGetRelid(table);
    if (const TupleConstr *const constraints = RelationGetDescr(table)->constr) {
        if (constraints->has_generated_stored) ExecComputeStoredGenerated(result, estate, slot, CMD_INSERT);
        ExecConstraints(result, slot, estate);
    }
    table_tuple_insert(table, slot, estate->es_output_cid, 0, nullptr);
    List *const unchecked = result->ri_NumIndices > 0 ? insert_index_entries(result, slot, estate) : NIL;
    ExecARInsertTriggers(estate, result, slot, unchecked, capture);
}

/// Plain frame. False when the table is not one that this can write, or not now.
bool insert_statement(Oid oid, std::span<const char *const> columns, std::span<const Param> values) {
    Relation const table = table_open(oid, RowExclusiveLock);
    MemoryContext const memory =
        AllocSetContextCreate(CurrentMemoryContext, "usher direct insert", ALLOCSET_DEFAULT_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(memory);
    auto **const by_column = static_cast<const Param **>(palloc(sizeof(void *) * RelationGetNumberOfAttributes(table)));
    const bool fits = is_plain_table(table) && check_enable_rls(oid, InvalidOid, true) != RLS_ENABLED &&
                      pg_class_aclcheck(oid, GetUserId(), ACL_INSERT) == ACLCHECK_OK &&
                      find_columns(table, columns, values, by_column);
    if (fits) {
        PreventCommandIfReadOnly("INSERT");
        PreventCommandIfParallelMode("INSERT");
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
        InsertTarget *const target = open_target(table);
        target->estate->es_output_cid = GetCurrentCommandId(true);
        AfterTriggerBeginQuery();
        TransitionCaptureState *const capture =
            MakeTransitionCaptureState(target->result->ri_TrigDesc, oid, CMD_INSERT);
        ExecBSInsertTriggers(target->estate, target->result);
        TupleTableSlot *const slot = table_slot_create(table, nullptr);
        fill(slot, target, by_column);
        insert_slot(table, target, slot, capture);
        ExecASInsertTriggers(target->estate, target->result, capture);
        AfterTriggerEndQuery(target->estate);
        ExecDropSingleTupleTableSlot(slot);
        close_target(target);
        PopActiveSnapshot();
        CommandCounterIncrement();
    }
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(memory);
    table_close(table, NoLock);
    return fits;
}
} // namespace

bool has_insert_triggers(Relation table, bool but_foreign_keys) {
    const TriggerDesc *const triggers = table->trigdesc;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
        const Trigger &each = triggers->triggers[i];
        if (TRIGGER_FOR_INSERT(each.tgtype) && !(but_foreign_keys && each.tgfoid == F_RI_FKEY_CHECK_INS)) return true;
    }
    return false;
}

bool insert_with_triggers(Oid table, std::span<const char *const> columns, std::span<const Param> values) {
    return call([&] { return insert_statement(table, columns, values); });
}

std::optional<std::size_t> insert_directly(Oid table, const TableForm &form, std::span<const Param> values) {
    const std::int64_t placed = call([&] { return insert_rows(table, form, values); });
    return placed < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(placed));
}

} // namespace usher::pg
