// What the headers of a request say: bearer token, correlation id, entity tags. Strict, and never an exception.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// application/json, or application/ with a name that ends in +json; with whatever parameters.
bool is_json_type(std::string_view content_type);

/// What If-Match and If-None-Match of a request that writes say about a row with a version.
struct Precondition {
    enum class Kind : std::uint8_t {
        none,      // no header
        any,       // If-Match: *
        absent,    // If-None-Match: *: there must be no row yet
        versions,  // one of these; none of them when no tag can be one of ours
        malformed, // no list of entity tags, more than max_versions of them, both headers, or If-None-Match with tags
    } kind = Kind::none;
    static constexpr std::size_t max_versions = 8;
    std::vector<std::string> versions; // numbers as they stand in our tags
};
/// If-Match compares strongly and byte for byte (RFC 9110 section 8.8.3.2): a weak tag holds for nothing, nor does
/// "04".
Precondition parse_precondition(std::string_view if_match, std::string_view if_none_match);

/// A key of Idempotency-Key: 1 to 255 visible ASCII characters, with or without the quotes of a structured field.
std::optional<std::string_view> idempotency_key(std::string_view value);

/// The trace-id of a W3C traceparent header (version 00, or a later one with its fields); nothing when it is not valid.
std::optional<std::string_view> trace_id(std::string_view traceparent);

/// May a caller's X-Correlation-Id be used: 1 to 128 of A-Z a-z 0-9 . _ -
bool is_correlation_id(std::string_view value);

/// A User-Agent for log rows: at most 512 bytes, without control characters, cut between characters.
std::string clean_user_agent(std::string_view value);

/// Does If-None-Match of a request that reads name `tag`, given with its quotes? "*" names all; weak tags count. What
/// is no list of entity tags names none.
bool names_tag(std::string_view if_none_match, std::string_view tag);

} // namespace usher::headers
