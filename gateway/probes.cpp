#include "probes.hpp"
#include "errors.hpp"
#include <nlohmann/json.hpp>

namespace usher::gateway {

using namespace std::chrono_literals;

void Probes::check_head(const Exchange &exchange) {
    if (exchange.request.method != "GET" && exchange.request.method != "HEAD")
        throw Refused{405, "method_not_allowed", "The method is not allowed.", {{"Allow", "GET, HEAD"}}, true};
    if (exchange.request.has_body())
        throw Refused{400, "malformed_request", "A request with this method must not have a body.", {}, true};
}

// However often the probes come, the database is asked at most once a second while it is well.
const char *Probes::why_not_ready() {
    if (drain_.is_announced()) return "draining";
    const std::lock_guard lock(mutex_);
    if (checked_at_ != Clock::time_point{} && Clock::now() - checked_at_ < 1s && last_reason_ == nullptr)
        return nullptr;
    checked_at_ = Clock::now();
    last_reason_ = look();
    return last_reason_;
}

Response Probes::answer(Exchange &exchange) {
    const std::string &path = exchange.request.path;
    Response response;
    if (path == "/livez") {
        response.body = R"({"status":"ok"})";
    } else if (path == "/readyz" || path == "/healthz") {
        const char *reason = why_not_ready();
        response.status = reason == nullptr ? 200 : 503;
        response.body = nlohmann::json{{"status", reason == nullptr ? "ok" : reason}}.dump();
    } else if (path == "/metrics") {
        response.body = metrics();
        response.headers.push_back({"Content-Type", "text/plain; version=0.0.4; charset=utf-8"});
    } else {
        return answer_other(exchange.request);
    }
    return response;
}

void Probes::complete(const Exchange &, Response &response) {
    default_header(response, "Content-Type", "application/json");
    default_header(response, "Cache-Control", "no-store");
    default_header(response, "X-Content-Type-Options", "nosniff");
}

} // namespace usher::gateway
