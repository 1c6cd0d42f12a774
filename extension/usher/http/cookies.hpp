// Sessions of browsers in cookies that no script can read.
//
// __Host- ties a cookie to this host and to TLS (RFC 6265bis section 4.1.3.2). Beside the two tokens goes a third
// cookie that scripts of our own origin can read: the CSRF token, which they send back in X-CSRF-Token. It is a digest
// of the access token, so there is nothing to store, and nobody who does not have the access token can make it.
#pragma once
#include "usher/http/message.hpp"

namespace usher::http {

inline constexpr std::string_view access_cookie = "__Host-usher_access";
inline constexpr std::string_view refresh_cookie = "__Host-usher_refresh";

std::string csrf_token(std::string_view access_token);
bool is_csrf_token(std::string_view access_token, std::string_view given);

/// Set-Cookie for new tokens. expires_in: of the access token, in seconds.
void set_cookies(Answer &answer, std::string_view access_token, std::string_view refresh_token,
                 std::int64_t expires_in);

/// Set-Cookie that makes the browser forget them.
void clear_cookies(Answer &answer);

} // namespace usher::http
