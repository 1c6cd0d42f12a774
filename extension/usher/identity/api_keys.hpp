// API keys: machines that act for a user, with some of the user's permissions. Stored as SHA-256, found by prefix.
#pragma once
#include "common/types.hpp"
#include <string>
#include <string_view>

namespace usher::identity {

struct CheckedApiKey {
    const char *error = nullptr; // result code: invalid_token, token_expired, token_revoked; nullptr: the rest is valid
    Uuid id, user_id;
    std::string permissions; // separated by spaces
    std::string claims;      // JSON text, in the place of a token's claims
    Instant expires_at = 0;
};

/// Checks form, secret, expiry, and that neither the key nor its user has been disabled. Records the use, at most once
/// a minute and not where nothing can be written.
CheckedApiKey check_api_key(std::string_view text);

/// What a key in force may do, separated by spaces; nothing when it is not in force, or not the user's.
std::optional<std::string> permissions_of_key(const Uuid &id, const Uuid &user_id);

/// Has this token, which has no session that could be ended, been revoked by itself?
bool is_token_revoked(const Uuid &jti);

/// Do permissions, separated by spaces, cover this one? Nothing covers what is malformed.
bool is_covered(std::string_view permissions, std::string_view name);

} // namespace usher::identity
