// A table that rows are inserted into past the executor. What has to be known for that (its indexes with their
// predicates, CHECKs and generated columns ready to run, its triggers) is kept from statement to statement, for as long
// as nothing is announced about any relation: preparing it anew costs more than writing a row.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

struct InsertTarget {
    Oid table;
    EState *estate;        // lives as long as the target; what is needed for one statement only goes elsewhere
    ResultRelInfo *result; // its relation and indexes are open between open and close
    Oid *indexes;
    ExprState **defaults; // by column; nullptr where there is none. Made by default_of().
    bool *has_default;
    std::uint64_t changes;
    MemoryContext memory;
};

/// Opens the indexes of a table that is open and locked. Close it with the statement; after an ERROR the server cleans
/// up. Whoever asks for the same table in between gets another target.
InsertTarget *open_target(Relation table);
void close_target(InsertTarget *target);

/// What a column gets when a statement does not name it.
Datum default_of(InsertTarget *target, int column, bool *is_null);

} // namespace usher::pg
