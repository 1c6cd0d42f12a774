// usher._load_rows(): tables of a dump in any order.
//
// The foreign keys between tables of an extension come with CREATE EXTENSION, before the rows. pg_dump knows, and
// writes the tables in an order that respects them; pg_restore --jobs does not (BuildArchiveDependencies() in pg_dump.c
// passes over the data of tables). While it copies rows into such a table, the keys are not asked: all rows are from
// one snapshot, in which they held. Other triggers rest as well, those that are to fire while a dump is loaded have
// ENABLE ALWAYS. usher.self_check() looks at the keys afterwards.
#include "pg/result.hpp"
#include "pg/trigger_call.hpp"
#include "usher/operations/restoring.hpp"

namespace {
constinit int depth = 0; // statements within statements; what is left of one that failed is overwritten

void set_role(const char *role) {
    usher::pg::call([&] { // LOCAL: ends with the transaction, if the statement fails
        set_config_option("session_replication_role", role, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
    });
}
} // namespace

USHER_FUNCTION(usher_operations_load_rows) {
    using namespace usher;
    const TriggerData *const data = pg::require_trigger(
        fcinfo,
        [](const TriggerData &each) {
            return TRIGGER_FIRED_FOR_STATEMENT(each.tg_event) && TRIGGER_FIRED_BY_INSERT(each.tg_event);
        },
        "BEFORE and AFTER an INSERT statement", "usher.finish_extension() sets it up.");
    if (TRIGGER_FIRED_AFTER(data->tg_event)) {
        if (depth > 0 && --depth == 0) set_role("origin");
    } else if (SessionReplicationRole == SESSION_REPLICATION_ROLE_ORIGIN) {
        depth = 0;
        if (!operations::is_pg_restore()) return Datum{0};
        set_role("replica");
        depth = 1;
    } else if (depth > 0) {
        ++depth;
    }
    return Datum{0};
}
