// The archive function of the setting usher.audit_archive_function: code of a DBA, called before a month of the audit
// log is dropped.
#include "pg/foreign_call.hpp"

/// usher._call_archive_function(hook, partition_table, since, until)
USHER_FUNCTION(usher_audit_call_archive_function) {
    using namespace usher::pg;
    call([&] {
        ForeignArgument arguments[3];
        for (int i = 0; i < 3; ++i) arguments[i] = {fcinfo->args[i + 1].value, fcinfo->args[i + 1].isnull};
        if (PG_ARGISNULL(0)) ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("hook must not be null"));
        const Oid hook = PG_GETARG_OID(0);
        if (SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(hook))) { // else call_as_owner() says so
            Oid *types = nullptr;
            int count = 0;
            (void)get_func_signature(hook, &types, &count);
            if (count != 3 || types[0] != REGCLASSOID || types[1] != TIMESTAMPTZOID || types[2] != TIMESTAMPTZOID)
                ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("an archive function takes a regclass and two times"));
        }
        (void)call_as_owner(PG_GETARG_OID(0), arguments);
    });
    PG_RETURN_VOID();
}
