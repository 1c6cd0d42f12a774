// From a request to the arguments of its function.
#pragma once
#include "core/route.hpp"
#include "http/problem.hpp"
#include "http/routes.hpp"

namespace usher::http {

struct Source {
    const std::vector<std::string> &segments; // of the path
    const std::vector<route::QueryParameter> &query;
    std::string_view body;            // JSON text, or empty
    std::string_view idempotency_key; // header, or empty
    std::string_view version;         // of If-Match, or empty
    std::string_view refresh_token;   // of a cookie, or empty
};

/// A value as text, to be read by its type's input function.
struct Bound {
    std::size_t argument; // place in Function::arguments
    std::string_view in;
    bool is_null = false;
    std::string text;
    std::vector<std::optional<std::string>> elements; // of an array
};

/// Finds the value of each argument by name: path, headers (Idempotency-Key, If-Match), query, body. Everything that
/// can be said without the server is checked here and ends up in `errors`: what is missing, unknown, given twice or of
/// the wrong kind. False with `malformed` set when the body is no JSON object.
bool collect(const Route &route, const Function &function, const Source &source, std::vector<Bound> &bound,
             std::vector<FieldError> &errors, std::string &malformed);

/// The value, in the current memory context. Plain frame: an invalid text is an ERROR.
Datum to_datum(const Argument &argument, const Bound &bound);

} // namespace usher::http
