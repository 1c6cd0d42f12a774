// Rows of partitioned tables.
//
// An UPDATE of the partition key is, for the executor, a deletion in one partition and an insertion into another, and
// the triggers of the second cannot tell it from any other insertion. What the same statement has updated, and taken
// out of its partition, is moved: whoever has to treat both halves as one change notes the first here, and finds it
// again in the second.
#pragma once
#include "pg/guard.hpp"
#include <string>

namespace usher::pg {

/// The table that a partition belongs to, over all levels; of any other table itself. Plain frame.
Oid partition_root(Relation relation);

/// A row on its way from one partition into another, as the first saw it.
struct MovedRow {
    Oid partition;
    ItemPointerData place;
};

/// In a BEFORE UPDATE trigger of a partition: the row may be about to move. `purpose` is the same in all triggers that
/// treat the row together, and in no others of the table.
void note_update(const TriggerData *data, std::string_view purpose);
/// In a BEFORE INSERT trigger of a partition: does the row come from another? `key` tells it apart from other rows of
/// the statement, and is how find_moved_row() finds it. Each row that left is taken once.
bool is_moved_here(const TriggerData *data, std::string_view purpose, std::string_view key);
/// In an AFTER INSERT trigger: where the row was before, if it was moved. Each is found once.
std::optional<MovedRow> find_moved_row(const TriggerData *data, std::string_view purpose, std::string_view key);
/// The row as it was, in the form of the table that it has come to. Plain frame.
HeapTuple read_moved_row(const MovedRow &moved, TupleDesc desc);

} // namespace usher::pg
