#include "pg/insert_target.hpp"
#include "pg/cache.hpp"

namespace usher::pg {

namespace {
constinit std::array<InsertTarget *, 16> kept{};
constinit std::size_t next_place = 0; // whose turn it is to make room

void open_indexes(InsertTarget &target) {
    ResultRelInfo &result = *target.result;
    for (int i = 0; i < result.ri_NumIndices; ++i)
        result.ri_IndexRelationDescs[i] = index_open(target.indexes[i], RowExclusiveLock);
}

/// What index methods keep, they keep for one statement.
void start_statement(InsertTarget &target) {
    for (int i = 0; i < target.result->ri_NumIndices; ++i) {
        IndexInfo &index = *target.result->ri_IndexRelationInfo[i];
        index.ii_AmCache = nullptr;
        index.ii_Context = CurrentMemoryContext;
    }
}

/// Predicates of partial indexes, ready to run. The server would plan each first; theirs come from the relation cache,
/// simplified already.
void prepare_predicates(const ResultRelInfo &result) {
    for (int i = 0; i < result.ri_NumIndices; ++i) {
        IndexInfo *const index = result.ri_IndexRelationInfo[i];
        if (index->ii_Predicate != NIL) index->ii_PredicateState = ExecInitQual(index->ii_Predicate, nullptr);
    }
}

InsertTarget *make_target(Relation table) {
    const std::uint64_t changes = relation_changes(); // before anything is read
    MemoryContext const memory =
        AllocSetContextCreate(CurTransactionContext, "usher insert target", ALLOCSET_SMALL_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(memory);
    auto *const made = static_cast<InsertTarget *>(palloc0(sizeof(InsertTarget)));
    made->memory = memory;
    made->changes = changes;
    made->table = RelationGetRelid(table);
    made->estate = CreateExecutorState();
    MemoryContextSwitchTo(made->estate->es_query_cxt);
    made->result = makeNode(ResultRelInfo);
    InitResultRelInfo(made->result, table, 0, nullptr, 0);
    made->estate->es_opened_result_relations = lappend(NIL, made->result); // where triggers look for it
    ExecOpenIndices(made->result, false);
    prepare_predicates(*made->result);
    const int columns = RelationGetDescr(table)->natts;
    made->defaults = static_cast<ExprState **>(palloc0(sizeof(ExprState *) * columns));
    made->has_default = static_cast<bool *>(palloc(sizeof(bool) * columns));
    std::fill_n(made->has_default, columns, true); // until it is asked for
    made->indexes = static_cast<Oid *>(palloc(sizeof(Oid) * (made->result->ri_NumIndices + 1)));
    for (int i = 0; i < made->result->ri_NumIndices; ++i)
        made->indexes[i] = RelationGetRelid(made->result->ri_IndexRelationDescs[i]);
    MemoryContextSwitchTo(caller);
    return made;
}

/// Takes the target out of what is kept; nullptr when there is none that is still right.
InsertTarget *take(Oid table) {
    for (InsertTarget *&place : kept) {
        if (place == nullptr || place->table != table) continue;
        InsertTarget *const found = place;
        place = nullptr;
        if (found->changes == relation_changes()) return found;
        MemoryContextDelete(found->memory);
        return nullptr;
    }
    return nullptr;
}

void keep(InsertTarget *target) {
    InsertTarget **place = nullptr;
    for (InsertTarget *&each : kept)
        if (each == nullptr ? place == nullptr : each->table == target->table) place = &each;
    if (place == nullptr) place = &kept[next_place++ % kept.size()];
    InsertTarget *const old = *place;
    *place = nullptr;
    if (old != nullptr) MemoryContextDelete(old->memory);
    MemoryContextSetParent(target->memory, CacheMemoryContext);
    *place = target;
}
} // namespace

InsertTarget *open_target(Relation table) {
    InsertTarget *target = take(RelationGetRelid(table));
    if (target == nullptr) {
        target = make_target(table);
    } else {
        MemoryContextSetParent(target->memory, CurTransactionContext); // so that it goes with an ERROR
        target->result->ri_RelationDesc = table;
        open_indexes(*target);
    }
    start_statement(*target);
    return target;
}

void close_target(InsertTarget *target) {
    ResultRelInfo &result = *target->result;
    for (int i = 0; i < result.ri_NumIndices; ++i) {
        end_index_inserts(result.ri_IndexRelationDescs[i], result.ri_IndexRelationInfo[i]);
        index_close(result.ri_IndexRelationDescs[i], NoLock);
    }
    // What triggers have made for this statement. Their functions are looked up anew by the next: what they remember,
    // they remember for a statement.
    ExecResetTupleTable(target->estate->es_tupleTable, true);
    target->estate->es_tupleTable = NIL;
    result.ri_TrigOldSlot = result.ri_TrigNewSlot = nullptr;
    if (result.ri_TrigDesc != nullptr)
        std::memset(result.ri_TrigFunctions, 0, sizeof(FmgrInfo) * result.ri_TrigDesc->numtriggers);
    ResetPerTupleExprContext(target->estate);
    keep(target);
}

Datum default_of(InsertTarget *target, int column, bool *is_null) {
    *is_null = true;
    if (!target->has_default[column]) return 0;
    EState *const estate = target->estate;
    if (target->defaults[column] == nullptr) {
        Relation const table = target->result->ri_RelationDesc;
        MemoryContext const caller = MemoryContextSwitchTo(estate->es_query_cxt);
        const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), column);
        Node *const found = attribute->attisdropped || attribute->attgenerated != '\0'
                                ? nullptr
                                : build_column_default(table, column + 1);
        target->has_default[column] = found != nullptr;
        if (found != nullptr) target->defaults[column] = ExecPrepareExpr(reinterpret_cast<Expr *>(found), estate);
        MemoryContextSwitchTo(caller);
        if (found == nullptr) return 0;
    }
    return ExecEvalExprSwitchContext(target->defaults[column], GetPerTupleExprContext(estate), is_null);
}

} // namespace usher::pg
