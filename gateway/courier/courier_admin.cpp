#include "courier/courier_admin.hpp"
#include "errors.hpp"
#include <nlohmann/json.hpp>

namespace usher::courier {

using namespace std::chrono_literals;
using gateway::Clock;
using gateway::Outcome;
using gateway::Refused;
using gateway::Response;

void CourierAdmin::check_head(const gateway::Exchange &exchange) {
    if (exchange.request.method != "GET" && exchange.request.method != "HEAD")
        throw Refused{405, "method_not_allowed", "The method is not allowed.", {{"Allow", "GET, HEAD"}}, true};
    if (exchange.request.has_body())
        throw Refused{400, "malformed_request", "A request with this method must not have a body.", {}, true};
}

// Whether the functions that it lives by are there and may be called. Asked at most once a second while all is well.
const char *CourierAdmin::why_not_ready() {
    if (drain_.is_announced()) return "draining";
    const std::lock_guard lock(mutex_);
    if (checked_at_ != Clock::time_point{} && Clock::now() - checked_at_ < 1s && last_reason_ == nullptr)
        return nullptr;
    checked_at_ = Clock::now();
    last_reason_ = "database not reachable";
    if (!database_.ensure_connected()) return last_reason_;
    home_.forget();
    const std::optional<std::string> schema = home_.schema(database_);
    last_reason_ = "usher_courier not found";
    if (!schema) return last_reason_;
    const std::string sql = "SELECT pg_catalog.has_schema_privilege($1, 'USAGE') AND "
                            "pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) "
                            "FROM pg_catalog.pg_proc p WHERE p.pronamespace = $1::pg_catalog.regnamespace AND "
                            "p.proname IN ('claim_messages', 'report_message', 'claim_requests', 'report_request')";
    const Outcome outcome = database_.run(nullptr, sql.c_str(), {schema->c_str()}, -1);
    const bool may_call = outcome.kind == Outcome::Kind::row && outcome.row.at(0) == "t";
    last_reason_ = may_call ? nullptr : "functions of usher_courier must not be called";
    return last_reason_;
}

Response CourierAdmin::answer(gateway::Exchange &exchange) {
    const std::string &path = exchange.request.path;
    Response response;
    if (path == "/livez") {
        response.body = R"({"status":"ok"})";
    } else if (path == "/readyz" || path == "/healthz") {
        const char *reason = why_not_ready();
        response.status = reason == nullptr ? 200 : 503;
        response.body = nlohmann::json{{"status", reason == nullptr ? "ok" : reason}}.dump();
    } else if (path == "/metrics") {
        response.body = counts_.exposition(metrics_);
        response.headers.push_back({"Content-Type", "text/plain; version=0.0.4; charset=utf-8"});
    } else {
        throw Refused{404, "not_found", "The admin listener has /livez, /readyz, /healthz and /metrics."};
    }
    return response;
}

void CourierAdmin::complete(const gateway::Exchange &, Response &response) {
    gateway::default_header(response, "Content-Type", "application/json");
    gateway::default_header(response, "Cache-Control", "no-store");
    gateway::default_header(response, "X-Content-Type-Options", "nosniff");
}

} // namespace usher::courier
