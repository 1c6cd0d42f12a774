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
    usher::operations::register_workers();
}
