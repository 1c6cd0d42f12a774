#include "courier/courier_admin.hpp"
#include "errors.hpp"

namespace usher::courier {

using gateway::Outcome;

// Whether the functions that it lives by are there and may be called.
const char *CourierAdmin::look() {
    if (!database_.ensure_connected()) return "database not reachable";
    home_.forget();
    const std::optional<std::string> schema = home_.schema(database_);
    if (!schema) return "usher_courier not found";
    const std::string sql = "SELECT pg_catalog.has_schema_privilege($1, 'USAGE') AND "
                            "pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) "
                            "FROM pg_catalog.pg_proc p WHERE p.pronamespace = $1::pg_catalog.regnamespace AND "
                            "p.proname IN ('claim_messages', 'report_message', 'claim_requests', 'report_request')";
    const Outcome outcome = database_.run(nullptr, sql.c_str(), {schema->c_str()}, -1);
    const bool may_call = outcome.kind == Outcome::Kind::row && outcome.row.at(0) == "t";
    return may_call ? nullptr : "functions of usher_courier must not be called";
}

std::string CourierAdmin::metrics() { return counts_.exposition(metrics_); }

gateway::Response CourierAdmin::answer_other(const gateway::Request &) {
    throw gateway::Refused{404, "not_found", "The admin listener has /livez, /readyz, /healthz and /metrics."};
}

} // namespace usher::courier
