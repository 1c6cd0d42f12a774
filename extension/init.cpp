// What happens when the library is loaded.
#include "pg/guc.hpp"

extern "C" {
USHER_MODULE_MAGIC;
PGDLLEXPORT void _PG_init();
}

// No catalog access and nothing shared here: with preload this runs in the postmaster, else in one backend.
void _PG_init() { usher::guc::define_settings(); }
