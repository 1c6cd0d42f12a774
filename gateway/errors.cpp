#include "errors.hpp"
#include <nlohmann/json.hpp>

namespace usher::gateway {

// The same form as usher.http_request gives its own refusals.
Response problem(const Refused &refusal, std::string_view instance, std::string_view correlation_id) {
    nlohmann::ordered_json document = {{"type", "urn:usher:error:" + refusal.code},
                                       {"title", reason_phrase(refusal.status)},
                                       {"status", refusal.status},
                                       {"detail", refusal.detail}};
    if (!instance.empty()) document["instance"] = instance;
    document["code"] = refusal.code;
    document["correlation_id"] = correlation_id;
    Response response;
    response.status = refusal.status;
    response.close = refusal.close;
    response.headers = refusal.headers;
    response.headers.push_back({"Content-Type", "application/problem+json"});
    response.body = document.dump();
    return response;
}

Refused database_unavailable(int retry_after_seconds) {
    return {503,
            "unavailable",
            "The service is temporarily unavailable.",
            {{"Retry-After", std::to_string(retry_after_seconds)}}};
}

// usher.http_request maps the errors of a route's function itself. What arrives here failed outside of it: the
// connection, the commit (deferred constraints, serialization), a limit of the server, or our own set-up. Texts are
// fixed: a server's message may contain data.
Refused from_sqlstate(std::string_view sqlstate) {
    const std::string_view cls = sqlstate.substr(0, 2);
    const auto retry_later = [](int status, const char *code, const char *detail) {
        return Refused{status, code, detail, {{"Retry-After", "1"}}};
    };
    if (sqlstate == "57014") return {504, "timeout", "The request took too long and was cancelled."};
    if (sqlstate == "55P03") return retry_later(503, "unavailable", "The data is locked by another request.");
    if (sqlstate == "40001" || sqlstate == "40P01")
        return retry_later(503, "unavailable", "The request collided with another one.");
    if (cls == "08" || cls == "53" || sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03")
        return database_unavailable();
    if (sqlstate == "23505" || sqlstate == "23503" || sqlstate == "23P01")
        return {409, "conflict", "The request conflicts with the current state."};
    if (sqlstate == "23502" || sqlstate == "23514" || cls == "22")
        return {400, "invalid_value", "A value in the request is not allowed."};
    if (sqlstate == "P0001") // RAISE in a deferred trigger
        return {400, "refused_by_application", "The application refused the request."};
    return {500, "internal_error", "The request could not be processed."};
}

} // namespace usher::gateway
