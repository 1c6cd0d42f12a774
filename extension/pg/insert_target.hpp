// A table that rows are inserted into past the executor. What has to be known for that (its indexes with their
// predicates, CHECKs and generated columns ready to run, its triggers) is kept from statement to statement.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "pg/table_form.hpp"
#include "pg/target_pool.hpp"

namespace usher::pg {

struct InsertTarget : PooledTarget {
    EState *estate;        // lives as long as the target; what is needed for one statement only goes elsewhere
    ResultRelInfo *result; // its relation and indexes are open between open and close
    Oid *indexes;
    ExprState **defaults; // by column; nullptr where there is none. Made by default_of().
    bool *has_default;
    const TableForm *form; // that was asked for last, see fits()
    bool has_form;
    Oid permitted; // a user who may insert
};

/// Opens the indexes of a table that is open and locked. Close it with the statement; after an ERROR the server cleans
/// up. Whoever asks for the same table in between gets another target.
InsertTarget *open_target(Relation table);
void close_target(InsertTarget *target);

/// May the current user write rows of this form past the executor? Remembered with the target.
bool fits(InsertTarget *target, const TableForm &form);

/// What a column gets when a statement does not name it.
Datum default_of(InsertTarget *target, int column, bool *is_null);

} // namespace usher::pg
