// usher.replay_call() and remember_call(). What functions of an extension have remembered, they trust: nobody else may
// write it, whoever may call these two.
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"

namespace usher {

namespace {
constinit pg::Statement find_extension{R"(
    SELECT e.extowner
    FROM usher.extensions x
        LEFT JOIN pg_catalog.pg_extension e ON e.extname OPERATOR(pg_catalog.=) x.extension
    WHERE x.name OPERATOR(pg_catalog.=) $1 AND x.extension IS NOT NULL)"};
constinit pg::Statement replay{"SELECT usher._replay_call($1, $2, $3)"};
constinit pg::Statement remember{"SELECT usher._remember_call($1, $2, $3)"};

pg::Param jsonb_argument(FunctionCallInfo fcinfo, int i) {
    return fcinfo->args[i].isnull ? pg::null(JSONBOID) : pg::datum(JSONBOID, fcinfo->args[i].value);
}

/// Throws unless the role may speak for the extension; what is not registered as one is an application.
void require_rights(const pg::Param &registrant, Oid role) {
    const pg::Rows found = find_extension.run({registrant});
    if (found.empty()) return;
    const Oid owner = found.front().is_null(0) ? InvalidOid : found.front().oid(0);
    if (pg::has_rights_of(role, owner)) return;
    const std::string name = NameStr(*DatumGetName(registrant.value));
    throw Error(errc::not_permitted, "calls of extension \"" + name + "\" are remembered by its own functions only",
                json::Object().add("extension", name).text(),
                "Remember calls under the name of an application of your own: usher.register_extension().");
}

/// Runs the statement for a caller who may speak for the extension.
pg::Rows run_for(pg::Statement &statement, FunctionCallInfo fcinfo) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) args.refuse_null(0);
    const pg::Param registrant = pg::datum(NAMEOID, fcinfo->args[0].value);
    const Oid role = GetUserId();
    const pg::AsOwner owner;
    require_rights(registrant, role);
    return statement.run({registrant, pg::text(args.text(1)), jsonb_argument(fcinfo, 2)});
}
} // namespace

} // namespace usher

using namespace usher;

/// usher.replay_call(extension, idempotency_key, request): without a key there is nothing to remember.
USHER_FUNCTION(usher_registration_replay_call) {
    if (fcinfo->args[1].isnull) return pg::null_result(fcinfo);
    const pg::Rows rows = run_for(replay, fcinfo);
    return rows.front().is_null(0) ? pg::null_result(fcinfo) : rows.front().datum(0, JSONBOID);
}

/// usher.remember_call(extension, idempotency_key, result)
USHER_FUNCTION(usher_registration_remember_call) {
    if (!fcinfo->args[1].isnull) (void)run_for(remember, fcinfo);
    return pg::null_result(fcinfo);
}
