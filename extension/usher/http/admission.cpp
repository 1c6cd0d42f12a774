#include "usher/http/admission.hpp"
#include "pg/args.hpp"
#include "usher/access/access.hpp"
#include "usher/http/cookies.hpp"
#include "usher/http/oauth.hpp"
#include "usher/http/request_headers.hpp"
#include "usher/limits/limits.hpp"
#include "usher/operations/settings.hpp"
#include "usher/registration/registered_errors.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::http {

void set_context(Request &request) {
    const std::string given = request.header("x-correlation-id"), parent = request.header("traceparent");
    if (const auto id = headers::trace_id(parent))
        request.correlation_id = *id;
    else if (headers::is_correlation_id(given))
        request.correlation_id = given;
    else
        request.correlation_id = to_string(pg::new_uuid());
    const std::string agent = headers::clean_user_agent(request.header("user-agent"));
    request::set_context({request.client_ip, agent, request.correlation_id});
}

std::optional<Answer> admit(Request &request, const Route &route) {
    request::forget(); // whatever this transaction was before, the token of this request decides
    const std::string header = request.header("authorization"), cookies = request.header("cookie");
    const headers::Authorization credentials = headers::parse_authorization(header);
    const auto cookie = headers::cookie(cookies, access_cookie);
    const bool has_cookie = cookie && !cookie->empty();
    if (has_cookie && credentials.kind != headers::Credentials::none) // which of the two would be meant?
        return refuse(request,
                      problem(errc::invalid_request, "the request has both a session cookie and Authorization"));

    std::string refused;
    bool has_token = credentials.kind == headers::Credentials::bearer;
    if (has_token) refused = request::authenticate(credentials.token);
    if (has_cookie) {
        // A browser adds cookies to whatever another site makes it send: only our own pages can add the token as well.
        const bool is_meant = route.method == "GET" || is_csrf_token(*cookie, request.header("x-csrf-token"));
        if (!is_meant && route.access != AccessRule::open) return refuse(request, problem(errc::csrf_token_invalid));
        if (is_meant) refused = request::authenticate(*cookie);
        has_token = request.by_cookie = is_meant;
    }
    if (route.access == AccessRule::open) return std::nullopt; // an old token does not keep anybody from logging in

    if (route.is_oauth && !has_token && !has_cookie) { // a client may say who it is as RFC 6749 section 2.3.1 has it
        if (const auto client = client_credentials(request)) {
            if (!request::authenticate_client(client->id, client->secret))
                return challenge(request, problem(errc::invalid_client), {});
            has_token = true;
        }
    }
    if (credentials.kind == headers::Credentials::malformed)
        return challenge(request, problem(errc::malformed_request, "the Authorization header is malformed"),
                         "invalid_request");
    if (!has_token) return challenge(request, problem(errc::authentication_required), {});
    if (!refused.empty()) {
        const ErrorCode *const code = registration::find_error(refused);
        return challenge(request, problem(code == nullptr ? errc::invalid_token : *code), "invalid_token");
    }
    const request::Identity *const who = request::current();
    if (who == nullptr) return challenge(request, problem(errc::token_revoked), "invalid_token");
    // Where people need no permission, an API key still needs to have been given one.
    const std::string_view needed = route.access == AccessRule::authenticated && route.permission.empty()
                                        ? std::string_view("*:*")
                                        : std::string_view(route.permission);
    const bool may = route.access == AccessRule::permission ? access::has_permission_somewhere(who->user_id, needed)
                                                            : request::key_allows(who->user_id, needed);
    if (!may) {
        Problem missing = problem(errc::not_permitted);
        missing.extra = R"({"permission":)" + json::quote(needed) + '}';
        return challenge(request, missing, "insufficient_scope");
    }
    return std::nullopt;
}

std::optional<Answer> limit(const Request &request, const Route &route, Answer &headers) {
    if (route.rate_limit.empty()) return std::nullopt;
    const request::Identity *const who = request::current();
    const std::string key =
        who != nullptr ? "user:" + to_string(who->user_id) : "address:" + limits::address_key(request.client_ip);
    const limits::Outcome outcome = limits::hit(route.rate_limit, key);
    std::string name; // a structured field's string: nothing but visible ASCII
    for (const char c : route.rate_limit)
        if (c > ' ' && c < '\x7f' && c != '"' && c != '\\') name += c;
    const std::int64_t reset = std::max<std::int64_t>(0, (outcome.reset_at - pg::clock_time() + 999'999) / 1'000'000);
    headers.add("RateLimit-Policy",
                '"' + name + "\";q=" + std::to_string(outcome.max_hits) + ";w=" + std::to_string(outcome.period_s));
    headers.add("RateLimit", '"' + name + "\";r=" + std::to_string(outcome.remaining) + ";t=" + std::to_string(reset));
    if (guc::legacy_rate_limit_headers) {
        headers.add("RateLimit-Limit", std::to_string(outcome.max_hits));
        headers.add("RateLimit-Remaining", std::to_string(outcome.remaining));
        headers.add("RateLimit-Reset", std::to_string(reset));
    }
    if (outcome.allowed) return std::nullopt;
    Problem refusal = problem(errc::rate_limited);
    refusal.retry_after = outcome.retry_after_s;
    return refuse(request, refusal);
}

} // namespace usher::http
