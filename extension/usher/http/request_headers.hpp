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

/// The credentials of an HTTP Basic header (RFC 7617): user and password, still as the client encoded them.
struct Basic {
    std::string user, password;
};
/// Nothing when the scheme is another one, or what follows is no base64 of "user:password".
std::optional<Basic> parse_basic(std::string_view authorization);

/// The value of a cookie in a Cookie header (RFC 6265); the first when there are several, nothing when there is none.
std::optional<std::string_view> cookie(std::string_view header, std::string_view name);

/// What If-Match says about a row with a version.
struct Precondition {
    enum class Kind : std::uint8_t {
        none,      // no header
        any,       // *
        version,   // one strong tag
        never,     // a weak tag: If-Match compares strongly, so it cannot hold
        malformed, // no entity tag, or several
    } kind = Kind::none;
    std::string_view tag; // without quotes
};
Precondition parse_if_match(std::string_view value);

/// A key of Idempotency-Key: 1 to 255 visible ASCII characters, with or without the quotes of a structured field.
std::optional<std::string_view> idempotency_key(std::string_view value);

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
