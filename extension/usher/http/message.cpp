#include "usher/http/message.hpp"
#include "pg/guard.hpp"
#include "usher/http/routes.hpp"

namespace usher::http {

bool Answer::has(std::string_view name) const {
    return std::any_of(headers.begin(), headers.end(), [&](const auto &h) { return h.first == name; });
}

namespace {
// RFC 6749 section 5.2: a code of its own, and nothing beside it.
std::string oauth_error(const Problem &problem) {
    std::string code = problem.status >= 500 && problem.status != 503 ? "server_error"
                       : problem.status == 503                        ? "temporarily_unavailable"
                                                                      : problem.code;
    std::string detail = problem.detail.empty() ? problem.title : problem.detail;
    if (problem.code == errc::invalid_arguments.name || problem.code == errc::malformed_request.name ||
        problem.code == errc::unsupported_media_type.name) {
        code = errc::invalid_request.name;
        if (!problem.errors.empty()) detail = problem.errors.front().field + ' ' + problem.errors.front().detail;
    }
    for (char &c : detail) // the characters that error_description may have
        if (c < ' ' || c > '~' || c == '"' || c == '\\') c = '\'';
    return R"({"error":)" + json::quote(code) + R"(,"error_description":)" + json::quote(detail) + '}';
}
} // namespace

Answer refuse(const Request &request, const Problem &problem) {
    Answer answer;
    answer.status = problem.status;
    if (problem.retry_after > 0) answer.add("Retry-After", std::to_string(problem.retry_after));
    if (request.route != nullptr && request.route->is_oauth) {
        if (answer.status == 422 || answer.status == 415) answer.status = 400;
        answer.add("Content-Type", "application/json");
        answer.body = oauth_error(problem);
        return answer;
    }
    answer.add("Content-Type", "application/problem+json");
    answer.body = to_json(problem, request.path, request.correlation_id);
    return answer;
}

Answer challenge(const Request &request, const Problem &problem, std::string_view error) {
    Answer answer = refuse(request, problem);
    std::string value = R"(Bearer realm="usher")";
    if (request.route != nullptr && request.route->is_oauth && problem.code == errc::invalid_client.name)
        value = R"(Basic realm="usher")";
    if (!error.empty()) value += ", error=\"" + std::string(error) + "\", error_description=\"" + problem.title + '"';
    answer.add("WWW-Authenticate", value);
    return answer;
}

void log_fault(const Request &request, const char *sqlstate, const char *message) {
    // Control characters of a message cannot forge lines: the server indents them.
    const std::string method(request.method), id(request.correlation_id);
    pg::call([&] {
        ereport(LOG, errmsg("usher: a request failed: %s", message),
                errdetail_log("SQLSTATE %s, method %s, correlation id %s.", sqlstate, method.c_str(), id.c_str()),
                errhidestmt(true));
    });
}

} // namespace usher::http
