// Running what somebody else wrote: a guard, an event handler, a hook, an archive function; and what reading a table of
// somebody else runs: CHECKs of domains, casts, expressions.
//
// It runs with the rights of its owner and nothing more. The change of user alone is not enough:
//
// - The search_path of whoever is there would choose the tables that it reads. So it is pinned to pg_catalog, pg_temp.
// - Temporary objects belong to whoever is there, and the server looks for tables and types among them whatever the
//   search_path says: a view that they made would run its functions as the owner. So temporary tables and views cannot
//   be used by the function and by what it calls, and the call is refused while the session has a temporary domain.
// - A deferred trigger that it leaves behind would run at commit, as whoever commits (CVE-2020-25695). So it runs in a
//   security-restricted operation, as the server itself runs index expressions: it can leave nothing for the end of the
//   transaction, create no temporary objects and not change its role.
// - What it sets would stay: a search_path would choose the operators of the functions that run on as the owner of the
//   extension, and of whoever is there. So every setting is as before when it returns, also after a plain SET.
// - The deferred triggers of whoever is there would run as the owner if the function made constraints immediate. So it
//   cannot.
//
// docs/architecture.md lists every place where others' code runs.
#pragma once
#include "pg/guard.hpp"
#include <span>

namespace usher::pg {

struct ForeignArgument {
    Datum value;
    bool is_null = false;
};

struct ForeignResult {
    Datum value; // in the memory context that was current at the call
    bool is_null;
};

/// Calls the function by its Oid. A strict function gets no NULL: its result is NULL then, as in a query. Plain frame:
/// an ERROR jumps, and the rollback brings user and settings back.
ForeignResult call_as_owner(Oid function, std::span<const ForeignArgument> arguments);

/// The same for a function that returns rows: a jsonb array of them, in the memory context that was current at the
/// call.
Datum rows_as_owner(Oid function, std::span<const ForeignArgument> arguments);

/// The row that a query finds about a table, in the memory context that was current at the call. Query and `form`,
/// which makes the result of the row, run as the owner of the table: its types are the owner's choice.
Datum row_as_owner(Oid relation, const char *query, ForeignArgument argument, Oid type, Datum (*form)(Datum row),
                   bool *is_null);

} // namespace usher::pg
