#include "pg/foreign_call.hpp"
#include "pg/cache.hpp"

namespace usher::pg {

namespace {
// The calls that run now, by the level of the transaction at which each began, so that a rollback can tell which have
// ended with it.
constexpr int max_calls = 64;
constinit int calls = 0;
constinit int levels[max_calls] = {};

void at_transaction_end(XactEvent, void *) { calls = 0; }

void at_subtransaction_end(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (event != SUBXACT_EVENT_ABORT_SUB) return;
    while (calls > 0 && levels[calls - 1] >= GetCurrentTransactionNestLevel()) --calls;
}

[[noreturn]] void refuse_temporary(const char *what, const char *name) {
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("temporary %s \"%s\" cannot be used by a function that runs as its owner", what, name),
            errhint("Name tables and types in guards and event handlers with their schema."));
}

void check_relation(Oid relation) {
    if (OidIsValid(relation) && get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
        refuse_temporary(get_rel_relkind(relation) == RELKIND_VIEW ? "view" : "table", get_rel_name(relation));
}

void check_relations(List *range_table) {
    ListCell *cell = nullptr;
    foreach (cell, range_table) check_relation(static_cast<const RangeTblEntry *>(lfirst(cell))->relid);
}

/// All relations of a query, of those within it too; those of views stand in it after rewriting.
bool check_query(Node *node, void *) {
    if (node == nullptr) return false;
    if (!IsA(node, Query)) return walk_expression(node, check_query, nullptr);
    auto *const query = reinterpret_cast<Query *>(node);
    check_relations(query->rtable);
    return walk_query(query, check_query, nullptr);
}

// Twice: planning evaluates functions already, and a plan that is kept may have been made before the call.
planner_hook_type next_planner = nullptr;
PlannedStmt *plan(USHER_PLAN_ARGUMENTS) {
    if (calls > 0) (void)check_query(reinterpret_cast<Node *>(query), nullptr);
    return (next_planner != nullptr ? next_planner : standard_planner)(USHER_PLAN_VALUES);
}

// SET CONSTRAINTS … IMMEDIATE fires what waits for the end of the transaction: triggers of tables of whoever is there,
// which would run as the owner of the function.
ProcessUtility_hook_type next_utility = nullptr;
void process_utility(PlannedStmt *statement, const char *text, bool is_read_only, ProcessUtilityContext context,
                     ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination,
                     QueryCompletion *completion) {
    if (calls > 0 && IsA(statement->utilityStmt, ConstraintsSetStmt))
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                errmsg("constraints cannot be set by a function that runs as its owner"),
                errhint("Triggers that wait for the end of the transaction belong to whoever is there."));
    (next_utility != nullptr ? next_utility : standard_ProcessUtility)(
        statement, text, is_read_only, context, parameters, environment, destination, completion);
}

ExecutorCheckPerms_hook_type next_check = nullptr;
bool check_permissions(USHER_CHECK_PERMISSIONS_ARGUMENTS) {
    if (calls > 0) check_relations(relations);
    return next_check == nullptr || next_check(USHER_CHECK_PERMISSIONS_VALUES);
}

void install_hooks() {
    static constinit bool installed = false;
    if (installed) return;
    RegisterXactCallback(at_transaction_end, nullptr);
    RegisterSubXactCallback(at_subtransaction_end, nullptr);
    next_planner = std::exchange(planner_hook, plan);
    next_utility = std::exchange(ProcessUtility_hook, process_utility);
    next_check = std::exchange(ExecutorCheckPerms_hook, check_permissions);
    installed = true;
}

/// Values of a domain are checked outside of queries as well, where a function has been compiled with it before.
void refuse_temporary_domains() {
    static constinit std::uint64_t looked_at = 0;
    static constinit Oid looked_in = InvalidOid;
    const Oid temporary = LookupExplicitNamespace("pg_temp", true);
    if (!OidIsValid(temporary) || (looked_at == relation_changes() && looked_in == temporary)) return;
    const std::uint64_t changes = relation_changes();
    Relation const types = table_open(TypeRelationId, AccessShareLock);
    SysScanDesc const scan = systable_beginscan(types, InvalidOid, false, nullptr, 0, nullptr);
    while (const HeapTuple tuple = systable_getnext(scan)) {
        const auto *const type = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
        if (type->typnamespace == temporary && type->typtype == TYPTYPE_DOMAIN)
            refuse_temporary("domain", pstrdup(NameStr(type->typname)));
    }
    systable_endscan(scan);
    table_close(types, AccessShareLock);
    looked_at = changes;
    looked_in = temporary;
}

Oid owner_of(Oid function) {
    const HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function with OID %u does not exist", function));
    const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
    ReleaseSysCache(tuple);
    return owner;
}

struct Entered { // what there was before
    Oid user = InvalidOid;
    int context = 0;
    int settings = 0;
};

Entered enter(Oid owner) {
    check_stack_depth();
    if (calls == max_calls)
        ereport(ERROR, errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
                errmsg("guards, hooks and event handlers call each other too deeply"));
    install_hooks();
    refuse_temporary_domains();
    Entered before;
    GetUserIdAndSecContext(&before.user, &before.context);
    before.settings = NewGUCNestLevel();
    SetUserIdAndSecContext(owner, before.context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                            false);
    levels[calls++] = GetCurrentTransactionNestLevel();
    return before;
}

void leave(const Entered &before) {
    --calls;
    AtEOXact_GUC(false, before.settings); // also what it has set for the session
    SetUserIdAndSecContext(before.user, before.context);
}
} // namespace

ForeignResult call_as_owner(Oid function, std::span<const ForeignArgument> arguments) {
    constexpr std::size_t max_arguments = 4;
    if (arguments.size() > max_arguments) elog(ERROR, "too many arguments");
    FmgrInfo info;
    fmgr_info(function, &info);
    LOCAL_FCINFO(call, max_arguments);
    InitFunctionCallInfoData(*call, &info, static_cast<short>(arguments.size()), InvalidOid, nullptr, nullptr);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (info.fn_strict && arguments[i].is_null) return {0, true};
        call->args[i].value = arguments[i].value;
        call->args[i].isnull = arguments[i].is_null;
    }
    const Entered before = enter(owner_of(function));
    const Datum value = FunctionCallInvoke(call);
    leave(before);
    return {value, call->isnull};
}

Datum rows_as_owner(Oid function, std::span<const ForeignArgument> arguments) {
    constexpr std::size_t max_arguments = 4;
    const Entered before = enter(owner_of(function));
    Oid *types = nullptr;
    int count = 0;
    (void)get_func_signature(function, &types, &count);
    if (arguments.size() != static_cast<std::size_t>(count) || arguments.size() > max_arguments)
        elog(ERROR, "function %u does not have %zu arguments", function, arguments.size());
    StringInfoData sql;
    initStringInfo(&sql);
    appendStringInfo(
        &sql, "SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(r)), '[]') FROM %s(",
        quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function)));
    Datum values[max_arguments] = {};
    char nulls[max_arguments] = {};
    for (int i = 0; i < count; ++i) {
        appendStringInfo(&sql, "%s$%d", i == 0 ? "" : ", ", i + 1);
        values[i] = arguments[static_cast<std::size_t>(i)].value;
        nulls[i] = arguments[static_cast<std::size_t>(i)].is_null ? 'n' : ' ';
    }
    appendStringInfoString(&sql, ") AS r");
    SPI_connect();
    if (SPI_execute_with_args(sql.data, count, types, values, nulls, false, 1) != SPI_OK_SELECT || SPI_processed != 1)
        elog(ERROR, "could not call function %u", function);
    bool is_null = false;
    const Datum found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
    const Datum result = SPI_datumTransfer(found, false, -1);
    SPI_finish();
    leave(before);
    return result;
}

Datum row_as_owner(Oid relation, const char *query, ForeignArgument argument, Oid type, Datum (*form)(Datum row),
                   bool *is_null) {
    const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation does not exist"));
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    const Entered before = enter(owner);
    // a policy that hides rows from the owner as well is told, not obeyed: there would seem to be no row
    (void)set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    SPI_connect();
    const char null = argument.is_null ? 'n' : ' ';
    if (SPI_execute_with_args(query, 1, &type, &argument.value, &null, true, 1) != SPI_OK_SELECT)
        elog(ERROR, "could not read a row of relation %u", relation);
    Datum result = 0;
    *is_null = SPI_processed == 0;
    if (!*is_null) {
        const Datum row = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, is_null);
        if (!*is_null) result = SPI_datumTransfer(form(row), false, -1);
    }
    SPI_finish();
    leave(before);
    return result;
}

} // namespace usher::pg
