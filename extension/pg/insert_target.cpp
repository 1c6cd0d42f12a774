#include "pg/insert_target.hpp"

namespace usher::pg {

namespace {
constinit TargetPool<InsertTarget, 16> pool{"usher insert target"};

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

void learn(InsertTarget &target, Relation table) {
    target.estate = CreateExecutorState();
    MemoryContext const caller = MemoryContextSwitchTo(target.estate->es_query_cxt);
    target.result = makeNode(ResultRelInfo);
    InitResultRelInfo(target.result, table, 0, nullptr, 0);
    target.estate->es_opened_result_relations = lappend(NIL, target.result); // where triggers look for it
    ExecOpenIndices(target.result, false);
    prepare_predicates(*target.result);
    const int columns = RelationGetDescr(table)->natts;
    target.defaults = static_cast<ExprState **>(palloc0(sizeof(ExprState *) * columns));
    target.has_default = static_cast<bool *>(palloc(sizeof(bool) * columns));
    std::fill_n(target.has_default, columns, true); // until it is asked for
    target.indexes = static_cast<Oid *>(palloc(sizeof(Oid) * (target.result->ri_NumIndices + 1)));
    for (int i = 0; i < target.result->ri_NumIndices; ++i)
        target.indexes[i] = RelationGetRelid(target.result->ri_IndexRelationDescs[i]);
    MemoryContextSwitchTo(caller);
}
} // namespace

InsertTarget *open_target(Relation table) {
    const Oid oid = RelationGetRelid(table);
    InsertTarget *target = pool.take(oid);
    if (target == nullptr) {
        target = pool.make(oid, [table](InsertTarget &fresh) { learn(fresh, table); });
    } else {
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
    pool.keep(target);
}

bool fits(InsertTarget *target, const TableForm &form) {
    const ResultRelInfo &result = *target->result;
    if (target->form != &form) {
        IndexInfo *const *const indexes = result.ri_IndexRelationInfo;
        target->has_form = admits_rows(result.ri_RelationDesc, Bypass::all, &form) &&
                           std::all_of(indexes, indexes + result.ri_NumIndices,
                                       [](const IndexInfo *each) { return is_index_of_columns(*each); });
        target->form = &form;
    }
    if (!target->has_form) return false;
    if (const Oid user = GetUserId(); target->permitted != user) {
        if (!may_insert(target->table)) return false;
        target->permitted = user;
    }
    return true;
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
