// Text forms of bytes: base64url (RFC 7515 appendix C), base64 (RFC 4648 section 4) and hexadecimal.
// Decoding is strict and canonical: one byte string has exactly one accepted text, so that a token or
// a hash cannot be changed in its text without changing its bytes.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace usher {

/// Base64url without padding.
std::string base64url_encode(std::string_view bytes);

/// Refuses padding, other alphabets, white space, and non-zero unused bits.
std::optional<std::string> base64url_decode(std::string_view text);

/// The same into a string whose memory is used again; false leaves `out` unspecified.
bool base64url_decode(std::string_view text, std::string &out);

enum class Padding { none, required };

/// Base64 with the alphabet `A-Za-z0-9+/`. Hash strings (PHC) use it without padding.
std::string base64_encode(std::string_view bytes, Padding padding = Padding::required);
std::optional<std::string> base64_decode(std::string_view text, Padding padding = Padding::required);

/// Lower-case hexadecimal.
std::string hex_encode(std::string_view bytes);

/// Accepts both cases, no separators.
std::optional<std::string> hex_decode(std::string_view text);

} // namespace usher
