// May rows go into a table past the executor? The one place that decides it, for every table and for the partitions of
// the audit log alike.
//
// A writer that bypasses the executor says what its rows are like. Whatever else a table wants of its rows (a trigger,
// a CHECK, a column of another type, a NOT NULL, a policy, an index of an expression), only the executor knows how to
// do: then the answer is no, and the row goes through SPI, where the server itself sees to it.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "pg/guard.hpp"
#include <span>

namespace usher::pg {

struct ColumnForm {
    const char *name;
    Oid type;
    bool is_filled = false; // in every row: the column may be NOT NULL
};

/// What a writer knows of a table. Keep it as a constant: answers are remembered by its address.
struct TableForm {
    std::span<const ColumnForm> columns; // all that there are, in order
    /// CHECK constraints that hold for every row that the writer makes, as the extension's script has them. The writer
    /// stands for these and for no other.
    std::span<const char *const> checks = {};
    /// The first column may refer to the first of this table of the same schema: the writer knows that the row is
    /// there.
    const char *refers_to = nullptr;
    bool is_partition = false; // the writer has chosen the partition by its bounds
};

/// What the server asks before it runs an INSERT: not in a transaction that only reads, nor on a standby, nor in
/// parallel mode. Before the table is locked: a standby has another answer to that.
void require_insert_allowed();

/// May the current user insert into the table? As the executor asks; column by column they may not have been asked yet.
bool may_insert(Oid table);

/// Is it a table whose rows nobody but its constraints, triggers and policies has a say in?
bool is_plain_table(Relation table);

/// What a writer does itself of that which the executor does.
enum class Bypass : std::uint8_t {
    /// Nothing but indexes: its rows have the form, so that there is nothing else to do.
    all,
    /// Defaults, generated columns, constraints, triggers and indexes.
    planning,
    /// It goes past this table straight to a partition, which it has chosen by the bounds. CHECKs and NOT NULLs are
    /// those
    /// of every partition too.
    parent
};

/// The one question: may rows be written so? For `all` with the form; it takes a while: remember the answer while
/// relation_changes() stays the same. Of `planning` the answer is that of the current user, and is not to be kept.
/// Indexes are for the writer to look at.
bool admits_rows(Relation table, Bypass bypass, const TableForm *form = nullptr);

/// Does the column take a value of this type as it is?
bool takes_value(const FormData_pg_attribute &column, Oid type);

/// Is the index one of columns only? Expressions are others' code, which wants a snapshot of its own.
bool is_index_of_columns(const IndexInfo &index);

} // namespace usher::pg
