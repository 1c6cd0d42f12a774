// Access tokens: making and checking them, for login, for authenticate() and for the HTTP dispatcher.
// Both use the signing keys of usher.signing_keys, kept per backend (usher/identity/keys.hpp).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/types.hpp"

namespace usher::identity {

/// client_id (RFC 9068) of tokens that no API key was traded for: sessions, and issue_token().
inline constexpr std::string_view own_client_id = "usher";

/// What iss says: usher.token_issuer, or usher.public_url when that is empty, as the metadata for OAuth clients does.
std::string_view own_issuer();

/// The machine that a token is for, by client_credentials.
struct Client {
    Uuid api_key_id{};
    std::string scope;   // permissions, separated by spaces
    Instant ends_at = 0; // when the key does
};

struct IssuedToken {
    std::string token;
    std::string jti;
    Instant expires_at = 0;        // microseconds since the Unix epoch
    std::int64_t expires_in_s = 0; // what login returns as expires_in
};

/// How the user of a session has proved who they are: the claims amr (RFC 8176) and acr ("aal1", "aal2").
struct Proof {
    std::int32_t level = 1;
    std::vector<std::string> methods;
};

/// Signs an access token (typ at+jwt) with the current key of the default algorithm, which is made if there is none.
/// `extra_claims`: JSON object or empty; may not contain iss, sub, aud, exp, iat, nbf, jti, sid, roles, amr, acr or
/// client_id (22023). `ttl_us` 0: usher.access_token_ttl. `session_id` absent: no sid, the token stands by itself until
/// it expires. C++ frame: errors of the server arrive as pg::PgError.
IssuedToken issue_access_token(const Uuid &user_id, const std::optional<Uuid> &session_id,
                               const std::vector<std::string> &roles, std::string_view extra_claims = {},
                               std::int64_t ttl_us = 0, const Proof *proof = nullptr);

/// As issue_access_token() for a client: its scope instead of its user's roles, and no later end than that of its key.
IssuedToken issue_client_token(const Uuid &user_id, const Client &client);

struct CheckedToken {
    const char *error = nullptr;    // result code: invalid_token, token_expired, …; nullptr: the rest is valid
    std::string_view claims;        // JSON text of the payload; lives until the next check_token in this backend
    Uuid user_id{};                 // sub, of one of our own tokens
    std::optional<Uuid> session_id; // sid, of one of our own tokens
    std::optional<Uuid> client_id;  // of one that client_credentials gave out: the API key
    Instant expires_at = 0;
    std::string_view jti;
    /// Of a token from outside: whose it is says usher.identities. Empty for our own. Live as long as claims.
    std::string_view provider, subject;
    bool ok() const { return error == nullptr; }
};

/// Checks form, signature, type, iss, aud and times of one of our access tokens, or of an outside issuer's. Reads keys
/// through the cache, writes nothing (works on a hot standby) and never throws for a bad token. Whether the session
/// still lives is NOT checked here: that is request::authenticate's part, at every statement.
CheckedToken check_token(std::string_view token);

/// The user whom an outside account belongs to (usher.identities); nothing when it is not linked.
struct LinkedUser {
    Uuid id, identity;
    bool is_active;
    Instant last_used_at; // of the identity
};
std::optional<LinkedUser> find_linked_user(std::string_view provider, std::string_view subject);

/// Notes that somebody has come with a token of the provider: once a minute, and only where something may be written.
void note_identity_use(const LinkedUser &user);

} // namespace usher::identity
