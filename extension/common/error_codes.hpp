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
    X(too_many_hashes,          "53400", 503, "As many passwords as usher.max_concurrent_hashes are being hashed already: try again.") \
    X(not_configured,           "55000", 500, "Something that must be set up by an administrator is missing.") \
    X(illegal_transition,       "US001", 409, "The status machine has no such transition from the current status.") \
    X(not_allowed,              "US002", 403, "The transition exists, but this actor may not make it now.") \
    X(stale_version,            "US003", 412, "Somebody changed the row since the caller read it.") \
    X(idempotency_mismatch,     "US004", 422, "The idempotency key was used before with other arguments.") \
    X(unknown_reference,        "US005", 404, "A row that the call refers to does not exist or is not active.") \
    X(rate_limited,             "US006", 429, "Too many requests: try again after the time in retry_after.") \
    X(deletion_refused,         "US008", 409, "Rows of this table are deactivated, not deleted.") \
    X(master_key_unavailable,   "US101", 500, "The file of the master key is missing or not usable, or holds another key than the one that a secret was sealed under.") \
    X(insufficient_user_authentication, "US102", 401, "The session was opened with less than is asked for: verify a second factor first (RFC 9470).") \
    X(session_required,         "US103", 403, "Only the user may do this, in a session: an API key may not.") \
    X(no_signing_key,           "US104", 503, "There is no signing key yet: the first token makes one.") \
    X(role_cycle,               "US201", 409, "A role cannot inherit from itself, directly or through others.") \
    X(protected_role,           "US202", 409, "A system role cannot be dropped or renamed.") \
    X(read_must_be_logged,      "US301", 503, "This reading leaves a row in the audit log, which this server cannot write: ask the primary.") \
    X(event_loop,               "US501", 500, "Event handlers publish events that lead back to them.") \
    X(refused_by_application,   "P0001", 400, "The application refused the request; detail says why.") \
    X(account_locked,           "",      423, "Too many wrong passwords: the account or the network is locked for retry_after seconds (only with usher.reveal_lockout).") \
    X(busy,                     "",      503, "The server is busy with other passwords: try again after the time in retry_after.") \
    X(conflict,                 "",      409, "The request collides with what is stored.") \
    X(csrf_token_invalid,      "",      403, "A request with cookies that changes something needs the X-CSRF-Token that came with them.") \
    X(email_not_verified,       "",      403, "The password is right, but the e-mail address is not verified yet.") \
    X(email_taken,              "",      409, "Another account has this e-mail address.") \
    X(email_unverified,         "",      409, "An account has this address, but never proved it: a mail went there, with which its reader takes the account over.") \
    X(idempotency_in_progress, "",      409, "A request with the same idempotency key is being answered: try again after the time in retry_after.") \
    X(idempotency_key_required,"",      400, "The route wants an Idempotency-Key header.") \
    X(identity_taken,           "",      409, "The outside account belongs to another user.") \
    X(internal_error,           "",      500, "Something went wrong on our side; the correlation id leads to the server's log.") \
    X(invalid_arguments,        "",      422, "Arguments are missing, unknown, repeated or of the wrong kind; errors names each.") \
    X(invalid_claims,           "",      401, "A claim of the token is missing or of the wrong kind.") \
    X(invalid_client,          "",      401, "The client did not prove who it is (OAuth 2.0).") \
    X(invalid_code,             "",      401, "The code is wrong, was used before, or is no longer good.") \
    X(invalid_credentials,      "",      401, "Unknown account, wrong password, or an account that may not log in now.") \
    X(invalid_email,            "",      422, "This is not an e-mail address.") \
    X(invalid_grant,           "",      400, "The grant is malformed, expired or revoked (OAuth 2.0).") \
    X(invalid_metadata,         "",      422, "The metadata is not a JSON object of at most 64 KiB.") \
    X(invalid_name,             "",      422, "A name has more than 100 characters, or control characters.") \
    X(invalid_phone,            "",      422, "This is not a telephone number of at most 20 characters.") \
    X(invalid_profile,          "",      422, "The profile or the preferences are not a JSON object of at most 64 KiB.") \
    X(invalid_refresh_token,    "",      401, "The refresh token is malformed or not known.") \
    X(invalid_request,         "",      400, "The request lacks a parameter, repeats one, or carries two kinds of credentials.") \
    X(invalid_scope,           "",      400, "The scope is not known, or more than the client may have (OAuth 2.0).") \
    X(invalid_signature,        "",      401, "The signature of the token does not match.") \
    X(invalid_token,            "",      401, "The token is missing or malformed.") \
    X(invalid_username,         "",      422, "A username has 1 to 50 characters without white space and @.") \
    X(invalid_value,            "",      400, "A value does not fit.") \
    X(malformed_request,        "",      400, "The request cannot be understood: its path, query, headers or JSON is malformed.") \
    X(method_not_allowed,       "",      405, "The path exists, but not for this method; Allow lists those it has.") \
    X(no_second_factor,         "",      409, "The account has no second factor.") \
    X(not_found,                "",      404, "There is nothing at this path.") \
    X(not_implemented,          "",      501, "The method is not known.") \
    X(password_invalid,         "",      422, "The password is not valid text.") \
    X(password_matches_identity,"",      422, "The password is the e-mail address, the username or the name of its owner.") \
    X(password_required,        "",      422, "The password of the account is needed as well.") \
    X(password_reused,          "",      422, "The password was used before.") \
    X(password_too_common,      "",      422, "The password is one of the first that anybody would guess.") \
    X(password_too_long,        "",      422, "The password has more than 1,024 bytes.") \
    X(password_too_short,       "",      422, "The password has too few characters.") \
    X(precondition_required,   "",      428, "The route wants If-Match with the ETag of what was read.") \
    X(provider_taken,           "",      409, "The user has another account at this provider.") \
    X(refresh_token_reused,     "",      401, "The refresh token was used before: its session has been ended.") \
    X(second_factor_required,   "",      401, "The password is right; login_second_factor() with the challenge and a code comes next.") \
    X(session_expired,          "",      401, "The session has expired.") \
    X(session_revoked,          "",      401, "The session has ended.") \
    X(timeout,                  "",      504, "The request took too long and was stopped.") \
    X(token_expired,            "",      401, "The token has expired.") \
    X(token_not_yet_valid,      "",      401, "The token is not valid yet.") \
    X(token_revoked,            "",      401, "The session of the token has ended, or its user is deactivated.") \
    X(too_many_factors,         "",      409, "The account has as many second factors or API keys as it may have.") \
    X(unavailable,              "",      503, "The service is busy or restarting: try again.") \
    X(unknown_key,              "",      401, "The token names a key that is not known, or no longer.") \
    X(unknown_subject,          "",      401, "The token is from a trusted issuer, but its subject is not linked to any user.") \
    X(unsupported_grant_type,  "",      400, "The grant type is not one that the token endpoint knows (OAuth 2.0).") \
    X(unsupported_media_type,   "",      415, "The body must be application/json.") \
    X(username_taken,           "",      409, "Another account has this username.") \
    X(wrong_algorithm,          "",      401, "The token names another algorithm than that of the key.") \
    X(wrong_audience,           "",      401, "The token is for another audience.") \
    X(wrong_issuer,             "",      401, "The token is from another issuer.") \
    X(wrong_token_type,         "",      401, "The token is of another type than an access token.")
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
