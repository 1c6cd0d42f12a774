// The background worker: one per database of usher.worker_databases, when the library is preloaded.
#pragma once

namespace usher::operations {

/// Registers the workers; called by _PG_init while the postmaster loads its libraries.
void register_workers();

/// Has the worker call `flush` about every usher.flush_interval, inside a transaction of its own, as the owner of the
/// extension. What it throws is logged and tried again. Call it while the library is loaded (a namespace-scope
/// initialiser will do).
void flush_regularly(void (*flush)());

} // namespace usher::operations
