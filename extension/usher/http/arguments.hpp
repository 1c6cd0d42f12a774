// From a request to the arguments of its function.
#pragma once
#include "usher/http/problem.hpp"
#include "usher/http/route.hpp"
#include "usher/http/routes.hpp"

namespace usher::http {

struct Source {
    const std::vector<std::string> &segments; // of the path
    const std::vector<route::QueryParameter> &query;
    std::string_view body;            // JSON text, or empty
    std::string_view idempotency_key; // header, or empty
    std::string_view version;         // of If-Match, or empty
    std::string_view refresh_token;   // of a cookie, or empty
};

/// Where a client puts an argument. The dispatcher and OpenAPI both ask here.
enum class Place : std::uint8_t {
    path,
    query,
    body,
    cursor, // what the query parameter "cursor" stands for: clients hand back what they got
    none,   // a row, in a request that has no body: it keeps its default
};
Place place_of(const Function &function, const Argument &argument, const route::Template &path,
               std::string_view method);
std::string_view place_name(Place place);

/// The value of an argument, and where it came from.
struct Bound {
    std::size_t argument; // place in Function::arguments
    std::string_view in;
    Given given;
};

/// Finds the value of each argument by name: path, headers (Idempotency-Key, If-Match), query, body. Everything that
/// can be said without the server is checked here and ends up in `errors`: what is missing, unknown, given twice or of
/// the wrong kind. False with `malformed` set when the body is no JSON object.
bool collect(const Route &route, const Function &function, const Source &source, std::vector<Bound> &bound,
             std::vector<FieldError> &errors, std::string &malformed);

} // namespace usher::http
