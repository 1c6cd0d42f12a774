// What identity/tokens.cpp and the SQL functions over it share.
#pragma once
#include <string_view>

#include "core/verified_tokens.hpp"

namespace usher::identity {

struct CachedToken {
    const char *error = nullptr;    // result code
    VerifiedToken *token = nullptr; // when there is no error; good until the next look_up_token()
};

/// As check_token(), with the place that the token has in the cache.
CachedToken look_up_token(std::string_view token);

} // namespace usher::identity
