// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace usher {

/// True when the whole text is well-formed.
bool is_valid_utf8(std::string_view text) noexcept;

/// Number of characters (code points) of a well-formed text.
std::size_t utf8_length(std::string_view text) noexcept;

/// The beginning of a text, at most `bytes` long, that ends between two characters. Whoever shortens a text does it
/// here: half a character would be refused by the server, or worse, be stored.
std::string_view clip(std::string_view text, std::size_t bytes) noexcept;

/// Appends one code point, which must not be a surrogate nor above U+10FFFF.
void append_utf8(std::string &out, std::uint32_t code_point);

} // namespace usher
