// Functions that rows name: noticing that one of them was made, changed or dropped.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

/// Moves whenever a function, type or schema of this database changes, in any backend. Never 0. Whoever keeps Oids of
/// functions found by name looks them up again when it has moved. Take in pending messages first
/// (Invalidation::generation() does).
std::uint64_t procedures_generation();

/// The same for what is within types: the columns of rows, the labels of enums.
std::uint64_t row_types_generation();

} // namespace usher::pg
