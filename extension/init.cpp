// What happens when the library is loaded.
#include "pg/shared.hpp"
#include "usher/operations/settings.hpp"
#include "usher/operations/worker.hpp"

extern "C" {
USHER_MODULE_MAGIC;
PGDLLEXPORT void _PG_init();
}

// No catalog access and nothing shared here: with preload this runs in the postmaster, else in one backend.
void _PG_init() {
    usher::guc::define_settings();
    if (!process_shared_preload_libraries_in_progress) return;
    usher::pg::request_shared_memory();
    // What pg_upgrade reads must stay as it is: a worker would use up transaction ids that the new server gives again.
    if (!IsBinaryUpgrade) usher::operations::register_workers();
}
