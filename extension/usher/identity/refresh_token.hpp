// Refresh tokens: opaque to clients; inside are the session, the generation and 256 bits of secret.
//
// The first secret of a session is random. Each later one is HMAC-SHA256(rotation key of the session, secret before it
// and the new generation), so that
//  - two refreshes with the same token have the same successor, and no token has to be stored to give it out twice;
//  - whoever has the database alone has hashes and keys, but no token;
//  - an old token proves itself: followed to the current generation it must give the current token. Only then is it
//  reuse. A
//    forged token, made of a session id that somebody saw, must not end the session.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string>
#include <string_view>

namespace usher {

struct RefreshToken {
    Uuid session_id;
    std::uint32_t generation = 1;
    std::string secret; // 32 bytes
};

/// "urt_" and base64url of session, generation and secret.
std::string format_refresh_token(const RefreshToken &token);
/// Nothing for any other text.
std::optional<RefreshToken> parse_refresh_token(std::string_view text);

/// SHA-256 of the token's text, the form in which it is stored.
std::string refresh_token_hash(const RefreshToken &token);

/// The token `steps` generations on.
RefreshToken successor(RefreshToken token, std::string_view rotation_key, std::uint32_t steps);

/// How many generations an old token is followed. One refresh a second reaches it after a day; what is older is simply
/// not valid.
inline constexpr std::uint32_t max_generations_back = 100000;

/// What a presented token is, by what the session's row says.
enum class RefreshStanding { forged, current, parent, older };
RefreshStanding standing_of(const RefreshToken &presented, std::uint32_t current_generation,
                            std::string_view current_hash, std::string_view rotation_key);

} // namespace usher
