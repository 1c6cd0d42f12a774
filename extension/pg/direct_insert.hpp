// Rows that go into tables of ours past the executor, where every change of something else writes one: with SPI,
// setting up and tearing down the executor, and reading CHECK constraints from the catalog, cost several times what the
// row does.
//
// Rights, row-level security, triggers and CHECKs are not looked at: the caller knows that the row is right, and where
// somebody has added to the table, nothing is written and the caller goes through SPI.
#pragma once
#include "pg/value.hpp"

namespace usher::pg {

/// What the table must look like: all of its columns in order, and how many CHECK constraints the caller stands for.
struct TableForm {
    std::span<const char *const> columns;
    int checks = 0;
    /// Also with foreign keys: the caller knows that the rows that they refer to are there.
    bool may_refer = false;
    /// Rows that break an exclusion or unique constraint are left out, without waiting for whoever else writes now.
    bool skips_conflicts = false;
};

/// Inserts rows, given one after the other. Returns how many went in; nothing when the table does not look so.
std::optional<std::size_t> insert_directly(Oid table, const TableForm &form, std::span<const Param> values);

/// Inserts a row into any table as a statement would: defaults, generated columns, constraints and triggers, whoever
/// made them, but no plan and no executor. Returns false, and has done nothing, when rules or row-level security have a
/// say, the current user may not insert, or the columns are others: go through SPI then.
bool insert_with_triggers(Oid table, std::span<const char *const> columns, std::span<const Param> values);

/// Are there triggers on INSERT? Those of foreign keys may be passed over. Plain frame.
bool has_insert_triggers(Relation table, bool but_foreign_keys = false);

} // namespace usher::pg
