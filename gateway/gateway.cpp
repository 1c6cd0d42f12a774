#include "gateway.hpp"
#include "errors.hpp"
#include "json_check.hpp"
#include "log.hpp"
#include "query.hpp"
#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

namespace usher::gateway {

namespace {

constexpr std::string_view allowed_methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

bool may_have_body(std::string_view method) { return method == "POST" || method == "PUT" || method == "PATCH"; }

bool is_known_method(std::string_view method) {
    return may_have_body(method) || method == "GET" || method == "HEAD" || method == "DELETE" || method == "OPTIONS";
}

bool is_hex(std::string_view text) { // lower case only, as W3C Trace Context wants
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

// version-traceid-parentid-flags. A version after 00 may append fields, ff is invalid.
std::string_view trace_id(std::string_view text) {
    if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
    const std::string_view version = text.substr(0, 2);
    const std::string_view trace = text.substr(3, 32);
    const std::string_view parent = text.substr(36, 16);
    if (!is_hex(version) || version == "ff" || !is_hex(trace) || is_zero(trace) || !is_hex(parent) || is_zero(parent) ||
        !is_hex(text.substr(53, 2)))
        return {};
    if (version == "00" ? text.size() != 55 : text.size() > 55 && text[55] != '-') return {};
    return trace;
}

// "type/subtype" in lower case, and the charset if one is given.
std::pair<std::string, std::string> media_type(std::string_view value) {
    const std::size_t semicolon = value.find(';');
    std::pair<std::string, std::string> type{lower_case(trim(value.substr(0, semicolon), header_space)), ""};
    while (!value.empty()) {
        const std::size_t end = value.find(';');
        std::string parameter = lower_case(trim(value.substr(0, end), header_space));
        std::erase(parameter, '"');
        if (parameter.starts_with("charset=")) type.second = parameter.substr(8);
        value = end == std::string_view::npos ? "" : value.substr(end + 1);
    }
    return type;
}

bool is_json(std::string_view type) {
    return type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
}

void check_content(const Request &request) {
    if (const std::string *encoding = request.find("content-encoding");
        encoding != nullptr && lower_case(*encoding) != "identity")
        throw Refused{
            415, "unsupported_media_type", "A request body must not be compressed.", {{"Accept-Encoding", "identity"}}};
    const std::string *header = request.find("content-type");
    const auto [type, charset] = media_type(header != nullptr ? *header : "");
    if (!is_json(type) && type != "application/x-www-form-urlencoded")
        throw Refused{415,
                      "unsupported_media_type",
                      "A request body must be application/json.",
                      {{"Accept-Post", "application/json"}}};
    if (!charset.empty() && charset != "utf-8")
        throw Refused{415, "unsupported_media_type", "A request body must be in UTF-8."};
}

// Whether something that the routes may answer with is acceptable: JSON of any kind, or text.
bool accepts_our_types(std::string_view accept) {
    while (!accept.empty()) {
        const std::size_t comma = accept.find(',');
        std::string range = lower_case(trim(accept.substr(0, comma), header_space));
        accept = comma == std::string_view::npos ? "" : accept.substr(comma + 1);
        std::erase_if(range, [](char c) { return c == ' ' || c == '\t'; });
        const std::size_t q = range.find(";q=");
        if (q != std::string::npos && range.find_first_not_of("0.", q + 3) == std::string::npos) continue; // q=0
        const std::string type = range.substr(0, range.find(';'));
        if (type == "*/*" || type == "application/*" || type.starts_with("text/") || is_json(type)) return true;
    }
    return false;
}

// RFC 6750 section 2.1. What a token means is the database's business; that it can only be a token is ours.
void check_authorization(const Request &request) {
    const std::string *header = request.find("authorization");
    if (header == nullptr) return;
    const std::size_t space = header->find(' ');
    const std::string scheme = lower_case(header->substr(0, space));
    const std::string_view rest =
        space == std::string::npos ? "" : trim(std::string_view(*header).substr(space), header_space);
    const auto challenge = [](int status, const char *detail) {
        return Refused{status, "invalid_request", detail, {{"WWW-Authenticate", "Bearer error=\"invalid_request\""}}};
    };
    if (scheme != "bearer" && scheme != "basic")
        throw Refused{401,
                      "authentication_required",
                      "The authentication scheme is not supported.",
                      {{"WWW-Authenticate", "Bearer"}}};
    const std::size_t padding = rest.find_last_not_of('=');
    const std::string_view core = rest.substr(0, padding == std::string_view::npos ? 0 : padding + 1);
    const bool is_token68 = !core.empty() && std::all_of(core.begin(), core.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("-._~+/").find(c) != std::string_view::npos;
    });
    if (!is_token68) throw challenge(400, "The credentials in Authorization are malformed.");
}

void check_query(const Request &request) {
    for (std::string_view rest = request.query; !rest.empty();) {
        const std::size_t end = rest.find('&');
        const std::optional<std::string> name = percent_decode(rest.substr(0, std::min(end, rest.find('='))));
        // RFC 6750 section 2.3: a token in a URL ends up in logs and histories.
        if (name && lower_case(*name) == "access_token")
            throw Refused{400,
                          "invalid_request",
                          "An access token must not be sent in the query.",
                          {{"WWW-Authenticate", "Bearer error=\"invalid_request\""}}};
        rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    }
}

} // namespace

std::string correlation_id_of(const Request &request) {
    if (const std::string *parent = request.find("traceparent"))
        if (const std::string_view trace = trace_id(*parent); !trace.empty()) return std::string(trace);
    const std::string *given = request.find("x-correlation-id");
    if (given != nullptr && !given->empty() && given->size() <= 128 &&
        std::all_of(given->begin(), given->end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
                   c == '.';
        }))
        return *given;
    thread_local std::mt19937_64 random = [] { // unique, not secret
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device()};
        return std::mt19937_64(seed);
    }();
    char text[33];
    std::snprintf(text, sizeof text, "%016lx%016lx", static_cast<unsigned long>(random()),
                  static_cast<unsigned long>(random()));
    return text;
}

void Gateway::begin(Exchange &exchange) {
    ++metrics_.requests_in_flight;
    exchange.client =
        client_address(exchange.peer, exchange.request, config_.trusted_networks, config_.forwarded_header);
    exchange.correlation_id = correlation_id_of(exchange.request);
}

void Gateway::check_head(const Exchange &exchange) {
    const Request &request = exchange.request;
    if (request.method == "TRACE" || request.method == "CONNECT")
        throw Refused{
            405, "method_not_allowed", "The method is not allowed.", {{"Allow", std::string(allowed_methods)}}};
    if (!is_known_method(request.method))
        throw Refused{501, "not_implemented", "The request method is not implemented."};
    if (request.has_body()) {
        if (!may_have_body(request.method))
            throw Refused{400, "malformed_request", "A request with this method must not have a body."};
        check_content(request);
    }
    check_authorization(request);
    check_origin(request);
    check_query(request);
    std::string accept;
    for (const Field &field : request.fields)
        if (field.name == "accept") accept += (accept.empty() ? "" : ",") + field.value;
    if (!accept.empty() && !accepts_our_types(accept))
        throw Refused{406, "not_acceptable", "Answers are available as application/json."};
}

bool Gateway::is_allowed_origin(const std::string &origin) const {
    return std::find(config_.cors_origins.begin(), config_.cors_origins.end(), origin) != config_.cors_origins.end();
}

// Browsers add cookies to whatever a page of another site makes them send, but they say which site that is. The
// database asks for a CSRF token as well. Bearer tokens are never added by themselves.
void Gateway::check_origin(const Request &request) const {
    // Cookies may come in several fields: they are joined for the database, so that each counts here too.
    const bool has_session_cookie = std::any_of(request.fields.begin(), request.fields.end(), [](const Field &field) {
        return field.name == "cookie" && field.value.find("__Host-usher_") != std::string::npos;
    });
    const std::string *session = request.find("usher-session");
    const std::string *from = request.find("sec-fetch-site");
    // The session would be opened, and the browser would drop its cookies (SameSite) without a word.
    if (session != nullptr && *session == "cookie" && from != nullptr && *from == "cross-site")
        throw Refused{403, "origin_not_allowed",
                      "The page is of another site than the API, so the browser would not keep the session's cookies. "
                      "Use one host name for both: localhost and 127.0.0.1 are two sites."};
    const bool changes_nothing = request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
    if (changes_nothing || !has_session_cookie) return;
    bool is_ours = false;
    if (const std::string *origin = request.find("origin")) {
        const std::string *host = request.find("host");
        const std::size_t scheme = origin->find("://");
        is_ours = scheme != std::string::npos && host != nullptr &&
                  lower_case(std::string_view(*origin).substr(scheme + 3)) == lower_case(*host);
        is_ours = is_ours || (config_.cors_credentials && is_allowed_origin(*origin));
    } else if (from != nullptr) {
        is_ours = *from == "same-origin" || *from == "none";
    }
    if (!is_ours)
        throw Refused{403, "origin_not_allowed", "A request with a session cookie must come from an allowed origin."};
}

// Answered without the database. Whether the origin is allowed is said by complete(), as for every answer.
Response Gateway::preflight(const Request &request) const {
    Response response;
    response.status = 204;
    if (is_allowed_origin(*request.find("origin"))) {
        response.headers = {{"Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"},
                            {"Access-Control-Allow-Headers",
                             "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, "
                             "traceparent, tracestate, Usher-Session, Usher-Timing, X-Correlation-Id, X-CSRF-Token"},
                            {"Access-Control-Max-Age", std::to_string(config_.cors_max_age_s)}};
    }
    response.route = "(preflight)";
    return response;
}

Response Gateway::answer(Exchange &exchange) {
    const Request &request = exchange.request;
    if (request.method == "OPTIONS") {
        if (request.find("origin") != nullptr && request.find("access-control-request-method") != nullptr)
            return preflight(request);
        if (request.path == "*") {
            Response response;
            response.status = 204;
            response.headers = {{"Allow", std::string(allowed_methods)}};
            return response;
        }
    }
    if (!request.body.empty()) {
        const auto [type, charset] = media_type(*request.find("content-type"));
        if (is_json(type))
            check_json(request.body, config_.max_json_depth);
        else if (!is_utf8(request.body) || request.body.find('\0') != std::string::npos)
            throw Refused{400, "malformed_request", "The body is not valid UTF-8 text."};
    }
    if (std::optional<Response> page = pages_.answer(request)) return *page;
    return call_database(pool_, standbys_, known_routes_.find(request.method, request.path), metrics_, exchange);
}

void Gateway::complete(const Exchange &exchange, Response &response) {
    auto &headers = response.headers;
    headers.push_back({"X-Correlation-Id", exchange.correlation_id});
    headers.push_back({"X-Content-Type-Options", "nosniff"});
    if (!response.body.empty()) default_header(response, "Content-Type", "application/json");
    default_header(response, "Cache-Control", "no-store");
    default_header(response, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    default_header(response, "Referrer-Policy", "no-referrer");
    if (config_.hsts_max_age_s > 0)
        headers.push_back({"Strict-Transport-Security", "max-age=" + std::to_string(config_.hsts_max_age_s)});
    const bool is_asked = config_.server_timing == "request" && exchange.request.find("usher-timing") != nullptr;
    if (is_asked || config_.server_timing == "always") {
        const std::chrono::duration<double, std::milli> total = std::chrono::steady_clock::now() - exchange.started;
        char text[96];
        std::snprintf(text, sizeof text, "wait;dur=%.3f, db;dur=%.3f, total;dur=%.3f", exchange.wait_time.count(),
                      exchange.database_time.count(), total.count());
        headers.push_back({"Server-Timing", text});
    }
    if (config_.cors_origins.empty()) return;
    headers.push_back({"Vary", "Origin"});
    const std::string *origin = exchange.request.find("origin");
    if (origin == nullptr) return;
    const auto allowed = std::find(config_.cors_origins.begin(), config_.cors_origins.end(), *origin);
    if (allowed == config_.cors_origins.end()) return;
    headers.push_back({"Access-Control-Allow-Origin", *allowed}); // our own copy, not the client's
    if (config_.cors_credentials) headers.push_back({"Access-Control-Allow-Credentials", "true"});
    headers.push_back({"Access-Control-Expose-Headers", "ETag, Link, Location, Retry-After, RateLimit, "
                                                        "RateLimit-Policy, Deprecation, Sunset, "
                                                        "Idempotency-Replayed, Server-Timing, X-Correlation-Id"});
}

void Gateway::finished(const Exchange &exchange, const Response &response, bool was_sent) {
    --metrics_.requests_in_flight;
    const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - exchange.started;
    const Request &request = exchange.request;
    metrics_.count_request(is_known_method(request.method) ? request.method : "(other)", response.route,
                           response.status, duration.count());
    if (!config_.log_requests) return;
    const auto millis = [](double value) { return std::round(value * 1000) / 1000; };
    nlohmann::ordered_json line = {{"method", request.method},
                                   {"path", request.path},
                                   {"status", response.status},
                                   {"duration_ms", millis(duration.count() * 1000)},
                                   {"database_ms", millis(exchange.database_time.count())},
                                   {"request_bytes", request.body.size()},
                                   {"response_bytes", response.body.size()},
                                   {"correlation_id", exchange.correlation_id},
                                   {"client_ip", exchange.client.to_string()}};
    if (!response.route.empty()) line["route"] = response.route;
    if (!was_sent) line["sent"] = false;
    log(Level::info, "request", line);
}

} // namespace usher::gateway
