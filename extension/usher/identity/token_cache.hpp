// What usher/identity/tokens.cpp and the SQL functions over it share.
#pragma once
#include <string_view>

#include "common/jwt.hpp"
#include "usher/identity/verified_tokens.hpp"

namespace usher::identity {

struct CachedToken {
    const char *error = nullptr;    // result code
    VerifiedToken *token = nullptr; // when there is no error; good until the next look_up_token()
    JwtToken *parsed = nullptr;     // when it was verified just now: its claims need not be parsed again
};

/// As check_token(), with the place that the token has in the cache.
CachedToken look_up_token(std::string_view token);

} // namespace usher::identity
