#include "pg/direct_insert.hpp"
#include "pg/insert_target.hpp"

namespace usher::pg {

namespace {
std::int64_t insert_slots(InsertTarget *target, std::size_t columns, std::span<const Param> values,
                          Conflicts conflicts) {
    EState *const estate = target->estate;
    ResultRelInfo *const result = target->result;
    Relation const table = result->ri_RelationDesc;
    MemoryContext const memory = CurrentMemoryContext;
    TupleTableSlot *const slot = table_slot_create(table, nullptr);
    const CommandId command = GetCurrentCommandId(true);
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
        if (conflicts == Conflicts::raise) {
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
    return placed;
}

/// Plain frame. -1 when the table does not have the form.
std::int64_t insert_rows(Oid oid, const TableForm &form, std::span<const Param> values, Conflicts conflicts) {
    require_insert_allowed();
    Relation const table = table_open(oid, RowExclusiveLock);
    if (!is_plain_table(table)) { // there is nothing to be prepared for it
        table_close(table, NoLock);
        return -1;
    }
    MemoryContext const memory =
        AllocSetContextCreate(CurrentMemoryContext, "usher direct insert", ALLOCSET_DEFAULT_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(memory);
    InsertTarget *const target = open_target(table);
    const std::int64_t placed = fits(target, form) ? insert_slots(target, form.columns.size(), values, conflicts) : -1;
    close_target(target);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(memory);
    table_close(table, NoLock);
    if (placed >= 0) CommandCounterIncrement(); // what runs next sees them, as after a statement
    return placed;
}

/// The value of each column: what is given, or its default. False when a column does not exist, or is of another type.
bool find_columns(Relation table, std::span<const char *const> columns, std::span<const Param> values,
                  const Param **by_column) {
    const TupleDesc desc = RelationGetDescr(table);
    std::fill_n(by_column, desc->natts, nullptr);
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const int number = SPI_fnumber(desc, columns[i]);
        if (number <= 0 || !takes_value(*TupleDescAttr(desc, number - 1), values[i].type)) return false;
        by_column[number - 1] = &values[i];
    }
    for (int i = 0; i < desc->natts; ++i) { // a domain may refuse the null of a column that is left out
        const Form_pg_attribute column = TupleDescAttr(desc, i);
        if (by_column[i] == nullptr && !column->attisdropped && get_typtype(column->atttypid) == TYPTYPE_DOMAIN)
            return false;
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
    require_insert_allowed();
    Relation const table = table_open(oid, RowExclusiveLock);
    MemoryContext const memory =
        AllocSetContextCreate(CurrentMemoryContext, "usher direct insert", ALLOCSET_DEFAULT_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(memory);
    auto **const by_column = static_cast<const Param **>(palloc(sizeof(void *) * RelationGetNumberOfAttributes(table)));
    const bool fits = admits_rows(table, Bypass::planning) && find_columns(table, columns, values, by_column);
    if (fits) {
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

bool insert_with_triggers(Oid table, std::span<const char *const> columns, std::span<const Param> values) {
    return call([&] { return insert_statement(table, columns, values); });
}

std::optional<std::size_t> insert_directly(Oid table, const TableForm &form, std::span<const Param> values,
                                           Conflicts conflicts) {
    const std::int64_t placed = call([&] { return insert_rows(table, form, values, conflicts); });
    return placed < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(placed));
}

} // namespace usher::pg
