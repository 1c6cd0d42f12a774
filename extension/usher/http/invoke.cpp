#include "usher/http/invoke.hpp"

namespace usher::http {

namespace {
struct Signature {
    Oid result;
    bool is_set, is_volatile;
};

Signature look_up(Oid function) {
    const HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("the function of a route was dropped"));
    const auto *const proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    const Signature found{proc->prorettype, proc->proretset, proc->provolatile == PROVOLATILE_VOLATILE};
    ReleaseSysCache(tuple);
    return found;
}

/// Planned as part of this call, by whoever calls: it may evaluate functions, and expands defaults of theirs.
Expr *plan_default(const Expr *written) {
    auto *const expression = const_cast<Expr *>(written);
    return IsA(expression, Const) ? expression : expression_planner(expression);
}

/// The call as an expression. Names play no part in it: they are how another function could come into it.
Expr *make_call(const Function &function, const Signature &signature, const Datum *values, const bool *nulls,
                const bool *given) {
    List *arguments = NIL;
    for (std::size_t i = 0; i < function.arguments.size(); ++i) {
        const Argument &argument = function.arguments[i];
        if (!given[i]) {
            arguments = lappend(arguments, plan_default(argument.default_value));
            continue;
        }
        std::int16_t length;
        bool by_value;
        get_typlenbyval(argument.value.type, &length, &by_value);
        arguments = lappend(arguments, makeConst(argument.value.type, -1, get_typcollation(argument.value.type), length,
                                                 values[i], nulls[i], by_value));
    }
    FuncExpr *const call =
        makeFuncExpr(function.oid, signature.result, arguments, InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
    call->funcretset = signature.is_set;
    assign_expr_collations(nullptr, reinterpret_cast<Node *>(call));
    return reinterpret_cast<Expr *>(call);
}

/// As a query that reads from the function would name its columns.
TupleDesc describe_columns(Oid function) {
    Oid type;
    TupleDesc declared;
    const TypeFuncClass kind = get_func_result_type(function, &type, &declared);
    if (kind == TYPEFUNC_COMPOSITE || kind == TYPEFUNC_COMPOSITE_DOMAIN) return CreateTupleDescCopy(declared);
    const TupleDesc made = CreateTemplateTupleDesc(1);
    const char *const name = get_func_result_name(function);
    TupleDescInitEntry(made, 1, name == nullptr ? "result" : name, type, -1, 0);
    TupleDescInitEntryCollation(made, 1, get_typcollation(type));
    pg::finish_columns(made);
    return made;
}
} // namespace

ResultRows::ResultRows(const Function &function, const Datum *values, const bool *nulls, const bool *given) {
    const Signature signature = look_up(function.oid);
    Expr *const call = make_call(function, signature, values, nulls, given);
    columns_ = describe_columns(function.oid);
    if (signature.is_volatile) { // sees what happened so far, as a statement would
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
    }
    state_ = CreateExecutorState();
    ExprContext *const context = CreateExprContext(state_);
    const MemoryContext outer = MemoryContextSwitchTo(state_->es_query_cxt);
    SetExprState *const prepared = ExecInitTableFunctionResult(call, context, nullptr);
    const MemoryContext arguments =
        AllocSetContextCreate(CurrentMemoryContext, "usher routed function", ALLOCSET_DEFAULT_SIZES);
    rows_ = ExecMakeTableFunctionResult(prepared, context, arguments, columns_, false);
    slot_ = MakeSingleTupleTableSlot(columns_, &TTSOpsMinimalTuple);
    MemoryContextSwitchTo(outer);
    if (signature.is_volatile) {
        PopActiveSnapshot();
        CommandCounterIncrement();
    }
}

TupleTableSlot *ResultRows::next() {
    if (!tuplestore_gettupleslot(rows_, true, false, slot_)) return nullptr;
    slot_getallattrs(slot_);
    return slot_;
}

void ResultRows::close() {
    ExecDropSingleTupleTableSlot(slot_);
    tuplestore_end(rows_);
    FreeExecutorState(state_);
}

} // namespace usher::http
