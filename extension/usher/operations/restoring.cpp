#include "usher/operations/restoring.hpp"
#include "pg/spi.hpp"
#include "usher/operations/settings.hpp"
#include <cstring>

namespace usher::operations {

bool is_pg_restore() {
    // What pg_dump writes at the top of every dump, and pg_restore sends, and nobody else sets together. Only for who
    // could switch the triggers off as well.
    if (check_function_bodies) return false;
    const Oid owner = pg::core_owner();
    return pg::call([&] {
        return std::strcmp(GetConfigOption("row_security", false, false), "off") == 0 &&
               has_privs_of_role(GetOuterUserId(), owner);
    });
}

bool is_loading() { return guc::restoring || is_pg_restore(); }

bool is_restoring() { return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA || is_loading(); }

} // namespace usher::operations
