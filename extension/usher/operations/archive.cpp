// Archive functions: code of a DBA, named by a setting, that is called before old rows are removed.
#include "pg/foreign_call.hpp"
#include <span>

namespace {

// Calls the function that the first argument names with the other arguments, which have these types.
Datum call_hook(FunctionCallInfo fcinfo, std::span<const Oid> types, const char *what_it_takes) {
    using namespace usher::pg;
    call([&] {
        if (PG_ARGISNULL(0)) ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("hook must not be null"));
        const Oid hook = PG_GETARG_OID(0);
        if (SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(hook))) { // else call_as_owner() says so
            Oid *its = nullptr;
            int count = 0;
            (void)get_func_signature(hook, &its, &count);
            if (!std::equal(types.begin(), types.end(), its, its + count))
                ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("an archive function takes %s", what_it_takes));
        }
        ForeignArgument arguments[FUNC_MAX_ARGS];
        for (std::size_t i = 0; i < types.size(); ++i)
            arguments[i] = {fcinfo->args[i + 1].value, fcinfo->args[i + 1].isnull};
        (void)call_as_owner(hook, std::span(arguments, types.size()));
    });
    PG_RETURN_VOID();
}

} // namespace

/// usher._call_archive_function(hook, partition_table, since, until): before a month of the audit log is dropped
USHER_FUNCTION(usher_audit_call_archive_function) {
    constexpr Oid types[] = {REGCLASSOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
    return call_hook(fcinfo, types, "a regclass and two times");
}

/// usher._call_archive_function(hook, source, rows): before upkeep removes rows
USHER_FUNCTION(usher_call_row_archive_function) {
    constexpr Oid types[] = {REGCLASSOID, JSONBOID};
    return call_hook(fcinfo, types, "a regclass and a jsonb");
}
