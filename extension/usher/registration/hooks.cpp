// The hooks that extensions and applications register: code of others, which core calls for upkeep, checks, export,
// erasure, and for what they count in shared memory.
#include "pg/foreign_call.hpp"
#include "pg/spi.hpp"
#include "usher/operations/worker.hpp"

namespace usher {
namespace {
constinit pg::Statement flush_extensions{"SELECT usher._flush_extensions()"};

void flush() {
    const pg::Rows rows = flush_extensions.run();
    if (const std::optional<std::string> failed = rows.front().optional_text(0))
        operations::tell_failed(failed->c_str());
}
[[maybe_unused]] const bool enlisted = (operations::flush_regularly("flushing what extensions count", flush), true);
} // namespace
} // namespace usher

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
