// Whether rows only come back that were made before.
#pragma once

namespace usher::operations {

/// This session loads a dump, told by the settings that pg_dump and pg_restore make.
bool is_pg_restore();

/// A dump is being loaded, by is_pg_restore() or by hand (usher.restoring).
bool is_loading();

/// Rows must not be changed, nor history, events or audit written for them: a dump is being loaded, or a
/// replication worker applies changes (session_replication_role = replica).
bool is_restoring();

} // namespace usher::operations
