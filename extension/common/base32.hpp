// Base32 (RFC 4648 section 6) without padding: the form in which authenticator applications take a secret, and in which
// people read and type recovery codes.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace usher {

/// Upper case, without padding.
std::string base32_encode(std::string_view bytes);

/// Takes both cases. Refuses other characters, lengths that no bytes have, and unused bits that are not zero.
std::optional<std::string> base32_decode(std::string_view text);

} // namespace usher
