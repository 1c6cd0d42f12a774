// Base32 (RFC 4648 section 6) without padding: the form in which authenticator applications take a secret, and in which
// people read and type recovery codes.
#pragma once
#include <string>
#include <string_view>

namespace usher {

/// Upper case, without padding.
std::string base32_encode(std::string_view bytes);

} // namespace usher
