// Rows that go into tables of ours past the executor, where every change of something else writes one: with SPI,
// setting up and tearing down the executor, and reading CHECK constraints from the catalog, cost several times what the
// row does.
//
// Only into tables that are as the writer knows them (see table_form.hpp). Else nothing is written, and the caller goes
// through SPI. What the server asks before it runs an INSERT is asked here as well.
#pragma once
#include "pg/table_form.hpp"
#include "pg/value.hpp"

namespace usher::pg {

enum class Conflicts : std::uint8_t {
    raise,
    /// Rows that break an exclusion or unique constraint are left out, without waiting for whoever else writes now.
    skip
};

/// Inserts rows, given one after the other, with a value for each column of the form. Returns how many went in; nothing
/// when the table does not have the form, or the current user may not insert.
std::optional<std::size_t> insert_directly(Oid table, const TableForm &form, std::span<const Param> values,
                                           Conflicts conflicts = Conflicts::raise);

/// Inserts a row into any table as a statement would: defaults, generated columns, constraints and triggers, whoever
/// made them, but no plan and no executor. Returns false, and has done nothing, when rules or row-level security have a
/// say, the current user may not insert, or the columns are others: go through SPI then.
bool insert_with_triggers(Oid table, std::span<const char *const> columns, std::span<const Param> values);

} // namespace usher::pg
