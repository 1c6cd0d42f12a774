// The background worker: one per database of usher.worker_databases, when the library is preloaded.
#pragma once
#include <cstddef>

namespace usher::operations {

/// Registers the workers; called by _PG_init while the postmaster loads its libraries.
void register_workers();

/// Has the worker call `job` about every usher.flush_interval, inside a transaction of its own, as the owner of the
/// extension. What it throws is logged and shown by usher.health() under its name, and it is tried again. Call these
/// while the library is loaded (a namespace-scope initialiser will do).
void work_regularly(const char *name, void (*job)());
/// The same for what is done piece by piece, each in a transaction of its own, so that it lets go of what it has
/// locked: again as long as it says that there is more, until the other jobs have their turn.
void work_in_pieces(const char *name, bool (*piece)());
/// The same for what is known in shared memory only: done once more when the server stops.
void flush_regularly(const char *name, void (*flush)());

/// Says of the job that runs now that so many rows could not be written yet, and why if it has just been found out.
/// Nothing outside the worker.
void tell_postponed(std::size_t rows, const char *why = nullptr);
/// Says of the job that runs now that it did nothing, because somebody else is at it.
void tell_skipped();
/// Says of the job that runs now that a part of it failed, although it goes on.
void tell_failed(const char *why);

} // namespace usher::operations
