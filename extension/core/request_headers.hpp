// What the headers of a request say: bearer token, correlation id, entity tags. Strict, and never an exception.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace usher::headers {

enum class Credentials : std::uint8_t {
    none,      // no header
    bearer,    // a token of the form that RFC 6750 allows
    malformed, // "Bearer" with something that is no token: invalid_request
    other,     // another scheme
};
struct Authorization {
    Credentials kind = Credentials::none;
    std::string_view token;
};
/// RFC 6750 section 2.1, RFC 9110 section 11.4: the scheme in any case, one space or more, a b64token.
Authorization parse_authorization(std::string_view value);

/// The trace-id of a W3C traceparent header (version 00, or a later one with its fields); nothing when it is not valid.
std::optional<std::string_view> trace_id(std::string_view traceparent);

/// May a caller's X-Correlation-Id be used: 1 to 128 of A-Z a-z 0-9 . _ -
bool is_correlation_id(std::string_view value);

/// A User-Agent for log rows: at most 512 bytes, without control characters, cut between characters.
std::string clean_user_agent(std::string_view value);

/// Does a list of entity tags (If-Match, If-None-Match) contain `tag`, given with its quotes? "*" contains all. Weak
/// tags count only for If-None-Match (RFC 9110 section 8.8.3.2).
bool contains_tag(std::string_view list, std::string_view tag, bool weak_counts);

} // namespace usher::headers
