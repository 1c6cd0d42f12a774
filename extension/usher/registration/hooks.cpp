// The hooks that extensions and applications register: code of others, which core calls for upkeep, checks, export,
// erasure, and for what they count in shared memory.
#include "pg/foreign_call.hpp"
#include "pg/spi.hpp"
#include "pg/time_limit.hpp"
#include "usher/operations/worker.hpp"

namespace usher {
namespace {
constinit pg::Statement flush_extensions{"SELECT usher._flush_extensions()"};

void flush() {
    const pg::Rows rows = flush_extensions.run();
    if (const std::optional<std::string> failed = rows.front().optional_text(0))
        operations::tell_failed(failed->c_str());
}
constexpr const char *too_slow = "the hook took longer than it may";

/// Hooks that have run out of their time, and in which transactions: who asks one for each of many rows waits once.
struct Slow {
    Oid function = InvalidOid;
    TimestampTz transaction = 0;
    bool operator==(const Slow &) const = default;
};
constinit std::array<Slow, 8> slow{};
constinit std::size_t next_slow = 0;

/// Calls a hook, within so many seconds if there are any.
void call_within(Oid function, int seconds, auto &&run) {
    const Slow now{function, GetCurrentTransactionStartTimestamp()};
    if (seconds > 0 && std::ranges::find(slow, now) != slow.end()) throw Error("53400", too_slow);
    try {
        pg::within(seconds, too_slow, [&] { pg::call(run); });
    } catch (const Error &error) {
        if (error.sqlstate() == "53400") slow[next_slow++ % slow.size()] = now;
        throw;
    }
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly("flushing what extensions count", flush), true);
} // namespace
} // namespace usher

/// usher._call_hook(function regprocedure, max_rows integer, user_id uuid, seconds integer): each hook takes one of the
/// two in the middle, or neither. The scripts of 0.9.0 give no seconds.
USHER_FUNCTION(usher_call_hook) {
    using namespace usher::pg;
    Datum rows = 0;
    const auto run = [&] {
        if (PG_ARGISNULL(0))
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("the function of a hook is gone, or returns something else"));
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
        rows = rows_as_owner(function, std::span(&argument, static_cast<std::size_t>(count)));
    };
    usher::call_within(PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0),
                       PG_NARGS() < 4 || PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3), run);
    return rows;
}
