#include "usher/operations/databases.hpp"
#include "usher/operations/settings.hpp"

namespace usher::operations {

WorkerDatabases worker_databases() {
    WorkerDatabases databases;
    List *listed = NIL;
    databases.is_list = SplitIdentifierString(pstrdup(guc::worker_databases), ',', &listed);
    if (!databases.is_list) return databases;
    for (int i = 0; i < list_length(listed); ++i) {
        auto *const name = static_cast<char *>(list_nth(listed, i));
        bool is_known = false; // two workers of one database would do everything twice
        for (int j = 0; j < list_length(databases.names); ++j)
            is_known = is_known || std::strcmp(static_cast<const char *>(list_nth(databases.names, j)), name) == 0;
        if (!is_known) databases.names = lappend(databases.names, name);
    }
    return databases;
}

} // namespace usher::operations
