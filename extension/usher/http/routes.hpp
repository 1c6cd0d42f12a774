// The routes, kept per backend.
#pragma once
#include "usher/http/function.hpp"
#include "usher/http/route.hpp"
#include <memory>

namespace usher::http {

/// Whether answers are kept for a repeated Idempotency-Key.
enum class Idempotency : std::uint8_t { none, optional, required };

enum class AccessRule : std::uint8_t { open, authenticated, permission };

struct Route {
    std::string method, path_template;
    route::Template path;
    Oid function_oid;
    AccessRule access;
    std::string permission; // what everybody needs, or with access authenticated an API key; or empty
    std::string rate_limit; // policy, or empty
    int timeout_ms;         // of the function; 0: none of its own
    int success_status;
    bool read_only;
    std::string cache_control; // or empty
    Idempotency idempotency;
    bool requires_if_match;
    bool is_raw;                     // the body as it was sent goes to an argument, and so do the headers
    bool is_oauth;                   // form-encoded requests and errors as RFC 6749 has them
    std::string deprecation, sunset; // values of the headers, or empty (RFC 9745, RFC 8594)
    std::uint64_t most_rows = 0;     // that its function was seen to hand out at once

    Route() = default;
    Route(const Route &) = delete;
    Route &operator=(const Route &) = delete;

    /// Looked up at the first request, and again when something that it tells may have changed. Keep it during the
    /// call: what runs may change the function, and ask its own route.
    std::shared_ptr<const Function> function();

private:
    std::shared_ptr<const Function> function_;
    std::uint64_t procedures_ = 0, row_types_ = 0;
};

struct Routes {
    std::vector<std::unique_ptr<Route>> list;
    route::Table table;
};

/// What is committed now, and the transaction's own changes. Keep the pointer while a route is in use: a routed
/// function may change the routes.
std::shared_ptr<Routes> routes();

/// Moves whenever a route changes, in any backend. Never 0.
std::uint64_t routes_generation();

} // namespace usher::http
