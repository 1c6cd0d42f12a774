// Every code that usher can answer with, once. docs/errors.md, usher.error_codes(), usher.raise_error() and the
// HTTP status of a refusal are all made from this list.
#pragma once
#include <span>
#include <string_view>

namespace usher {

struct ErrorCode {
    std::string_view name;        // stable name, the `code` of a problem document and the value of `error` columns
    std::string_view sqlstate;    // five characters, or empty for codes that only ever are results
    int http_status;              // status of the problem document
    std::string_view description; // one sentence for people
};

// clang-format off
// X(name, SQLSTATE, HTTP status, description). Sorted by SQLSTATE, results without one last.
#define USHER_ERROR_CODES(X) \
    X(invalid_argument,         "22023", 422, "An argument has a value that the function does not accept.") \
    X(already_exists,           "23505", 409, "A row with this unique value exists already.") \
    X(authentication_required,  "28000", 401, "No valid identity: the access token is missing, malformed, expired or revoked.") \
    X(not_permitted,            "42501", 403, "The identity lacks the permission.") \
    X(not_configured,           "55000", 500, "Something that must be set up by an administrator is missing.") \
    X(illegal_transition,       "US001", 409, "The status machine has no such transition from the current status.") \
    X(not_allowed,              "US002", 403, "The transition exists, but this actor may not make it now.") \
    X(stale_version,            "US003", 412, "Somebody changed the row since the caller read it.") \
    X(idempotency_mismatch,     "US004", 422, "The idempotency key was used before with other arguments.") \
    X(unknown_reference,        "US005", 404, "A row that the call refers to does not exist or is not active.") \
    X(rate_limited,             "US006", 429, "Too many requests: try again after the time in retry_after.") \
    X(invalid_credentials,      "",      401, "Unknown account, wrong password, or an account that may not log in now.")
// clang-format on

/// errc::illegal_transition and so on.
namespace errc {
#define X(name, sqlstate, status, description) inline constexpr ErrorCode name{#name, sqlstate, status, description};
USHER_ERROR_CODES(X)
#undef X
} // namespace errc

/// The list in its order.
std::span<const ErrorCode> error_codes() noexcept;
/// By name; nullptr when unknown.
const ErrorCode *find_error_code(std::string_view name) noexcept;
/// By SQLSTATE; nullptr when it is not one of ours.
const ErrorCode *find_error_sqlstate(std::string_view sqlstate) noexcept;

} // namespace usher
