#include "admin.hpp"
#include "errors.hpp"
#include "gateway.hpp"
#include <nlohmann/json.hpp>

namespace usher::gateway {

using namespace std::chrono_literals;

void Admin::begin(Exchange &exchange) { exchange.correlation_id = correlation_id_of(exchange.request); }

void Admin::check_head(const Exchange &exchange) {
    if (exchange.request.method != "GET" && exchange.request.method != "HEAD")
        throw Refused{405, "method_not_allowed", "The method is not allowed.", {{"Allow", "GET, HEAD"}}, true};
    if (exchange.request.has_body())
        throw Refused{400, "malformed_request", "A request with this method must not have a body.", {}, true};
}

// Whether the function that answers requests is there and may be called. Asked at most once a second, however often
// the probes come.
const char *Admin::why_not_ready() {
    if (drain_.is_announced()) return "draining";
    const std::lock_guard lock(mutex_);
    if (checked_at_ != Clock::time_point{} && Clock::now() - checked_at_ < 1s && last_reason_ == nullptr)
        return nullptr;
    checked_at_ = Clock::now();
    last_reason_ = "database not reachable";
    for (int attempt = 0; attempt < 2 && database_.ensure_connected(); ++attempt) {
        const Outcome outcome = database_.run(
            "usher_ready",
            "SELECT pg_catalog.has_schema_privilege('usher', 'USAGE') AND pg_catalog.has_function_privilege("
            "'usher.http_request(text, text, text, jsonb, text, inet)', 'EXECUTE')",
            {}, -1);
        if (outcome.kind == Outcome::Kind::row) {
            last_reason_ = outcome.row.at(0) == "t" ? nullptr : "usher.http_request must not be called";
            break;
        }
        if (outcome.kind == Outcome::Kind::error) { // undefined function or schema
            last_reason_ = "usher.http_request not found";
            break;
        }
    }
    return last_reason_;
}

Response Admin::answer(Exchange &exchange) {
    const std::string &path = exchange.request.path;
    Response response;
    if (path == "/livez") {
        response.body = R"({"status":"ok"})";
    } else if (path == "/readyz" || path == "/healthz") {
        const char *reason = why_not_ready();
        response.status = reason == nullptr ? 200 : 503;
        response.body = nlohmann::json{{"status", reason == nullptr ? "ok" : reason}}.dump();
    } else if (path == "/metrics") {
        response.body = metrics_.exposition();
        response.headers.push_back({"Content-Type", "text/plain; version=0.0.4; charset=utf-8"});
    } else {
        throw Refused{404, "not_found", "The admin listener has /livez, /readyz, /healthz and /metrics."};
    }
    return response;
}

void Admin::complete(const Exchange &, Response &response) {
    default_header(response, "Content-Type", "application/json");
    default_header(response, "Cache-Control", "no-store");
    default_header(response, "X-Content-Type-Options", "nosniff");
}

} // namespace usher::gateway
