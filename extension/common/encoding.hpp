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

/// Writes two lower-case digits for each byte and returns the place behind them.
inline char *write_hex(char *to, const unsigned char *bytes, std::size_t count) noexcept {
    constexpr char digits[] = "0123456789abcdef";
    for (std::size_t i = 0; i < count; ++i) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    return to;
}

inline constexpr std::size_t uuid_text_length = 36;
/// The 16 bytes of a uuid as 8-4-4-4-12 digits.
inline void write_uuid(char *to, const unsigned char *bytes) noexcept {
    to = write_hex(to, bytes, 4);
    for (const int at : {4, 6, 8}) {
        *to++ = '-';
        to = write_hex(to, bytes + at, 2);
    }
    *to++ = '-';
    write_hex(to, bytes + 10, 6);
}

/// The value of a digit in either case, or -1.
inline constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// As hex_encode() writes it.
inline constexpr bool is_lower_hex(std::string_view text) noexcept {
    for (const char c : text)
        if (hex_value(c) < 0 || (c >= 'A' && c <= 'F')) return false;
    return true;
}

/// Appends the two digits of one byte.
inline void append_hex(std::string &out, char byte) {
    char digits[2];
    const auto value = static_cast<unsigned char>(byte);
    write_hex(digits, &value, 1);
    out.append(digits, sizeof digits);
}

/// Appends "%2F" for a slash: upper-case digits, as RFC 3986 section 2.1 wants them.
inline void append_percent_encoded(std::string &out, char c) {
    char digits[2];
    const auto byte = static_cast<unsigned char>(c);
    write_hex(digits, &byte, 1);
    out += '%';
    for (const char digit : digits) out += digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
}

/// The byte that "%2F" at this place stands for, or -1.
inline constexpr int percent_decoded(std::string_view text, std::size_t at) noexcept {
    if (at + 3 > text.size() || text[at] != '%') return -1;
    const int high = hex_value(text[at + 1]), low = hex_value(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

} // namespace usher
