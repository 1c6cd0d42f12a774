// The hooks that extensions and applications register: code of others, which core calls for upkeep, checks, export and
// erasure.
#include "pg/foreign_call.hpp"

/// usher._call_hook(function regprocedure, max_rows integer, user_id uuid): each hook takes one of the two, or neither.
USHER_FUNCTION(usher_call_hook) {
    using namespace usher::pg;
    return call([&] {
        if (PG_ARGISNULL(0))
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("the function of a hook is gone"));
        const Oid function = PG_GETARG_OID(0);
        Oid *types = nullptr;
        int count = 0;
        const Oid result = get_func_signature(function, &types, &count);
        if (count > 1 || (count == 1 && types[0] != INT4OID && types[0] != UUIDOID) ||
            (get_typtype(result) == TYPTYPE_PSEUDO && result != RECORDOID))
            ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("function with OID %u is no hook: it has other arguments, or another result", function));
        const int from = count == 1 && types[0] == UUIDOID ? 2 : 1;
        const ForeignArgument argument{fcinfo->args[from].value, fcinfo->args[from].isnull};
        return rows_as_owner(function, std::span(&argument, static_cast<std::size_t>(count)));
    });
}
