// Rows that outlive a rollback: the trace of a refusal must stay even when the caller's transaction does not.
#pragma once
#include <string_view>

namespace usher::operations {

/// Call it after inserting a row into a core table: should the (sub)transaction be rolled back, the background worker
/// writes the row again. `row` is the whole row as a JSON object, such as INSERT … RETURNING to_jsonb(t) gives. Does
/// nothing unless the library is preloaded; rows over 8 kB and rows beyond the queue's capacity are lost and counted.
void survive_rollback(std::string_view table, std::string_view row);

/// How many such rows were lost since the server started; for metrics.
long lost_survivors();

} // namespace usher::operations
