// A request as http_request() gets it, and the answer that it gives.
#pragma once
#include "common/json.hpp"
#include "usher/http/problem.hpp"
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace usher::http {

struct Route;

struct Request {
    std::string_view method, path, query, body;
    json::Document headers_document;
    std::string headers_text, client_ip, correlation_id;
    const Route *route = nullptr;       // once it is found
    std::shared_ptr<const void> routes; // keeps it: a routed function may change the routes
    bool by_cookie = false;             // the identity came from a cookie

    [[nodiscard]] std::string header(std::string_view name) const {
        const auto value = headers_document.root().find(name);
        return value ? value->as_string() : std::string();
    }
    /// The client wants its tokens as cookies, which scripts cannot read, instead of in the body. A header of one's own
    /// cannot be sent by a form of another site.
    [[nodiscard]] bool wants_cookies() const { return header("usher-session") == "cookie"; }
};

struct Answer {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    void add(std::string name, std::string value) { headers.emplace_back(std::move(name), std::move(value)); }
    [[nodiscard]] bool has(std::string_view name) const;
};

/// A problem document, or what RFC 6749 section 5.2 has for routes of that style.
Answer refuse(const Request &request, const Problem &problem);

/// The same with WWW-Authenticate (RFC 6750 section 3): no error code when no credentials were sent.
Answer challenge(const Request &request, const Problem &problem, std::string_view error);

/// Writes a failure of ours into the server's log; the client gets the correlation id only.
void log_fault(const Request &request, const char *sqlstate, const char *message);

} // namespace usher::http
