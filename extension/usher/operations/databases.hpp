// usher.worker_databases as a list.
#pragma once
#include "pg/pg.hpp"

namespace usher::operations {

struct WorkerDatabases {
    bool is_list = false; // else the setting cannot be read
    List *names = NIL;    // of char *, each once
};

/// For plain frames.
WorkerDatabases worker_databases();

} // namespace usher::operations
