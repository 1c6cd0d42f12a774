// What the background workers have done, kept in shared memory for usher.health().
#pragma once
#include "pg/value.hpp"
#include <vector>

namespace usher::operations::job_log {

struct Job {
    char name[48];
    Instant known_since;   // the start of the worker, or later when the extension came later
    Instant running_since; // 0: it does not run
    Instant succeeded_at;  // 0: not since the start of the server
    Instant failed_at;     // the same
    char message[256];     // of the last failure
};

/// The worker of this database has started: what its predecessor was doing when it ended has failed.
void worker_started();
/// A job begins, and ends.
void begun(const char *name);
void succeeded(const char *name);
void failed(const char *name, const char *message);
/// It ended, but did nothing, because somebody else is at it.
void skipped(const char *name);
/// It has nothing to do in this database yet.
void not_installed(const char *name);

/// The jobs of this database.
std::vector<Job> jobs();

} // namespace usher::operations::job_log
