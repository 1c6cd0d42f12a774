// Small questions about characters of ASCII, and cutting text. No locale has a say.
#pragma once
#include <string>
#include <string_view>

namespace usher {

inline constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
inline constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
inline constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
inline constexpr bool is_alphanumeric(char c) noexcept { return is_digit(c) || is_lower(c) || is_upper(c); }
inline constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
inline constexpr bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
inline constexpr char to_lower(char c) noexcept { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }
/// What stands for itself in every part of a URI (RFC 3986 section 2.3).
inline constexpr bool is_unreserved(char c) noexcept {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

inline constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    return true;
}

/// For C libraries that take bytes.
inline const unsigned char *bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char *>(text.data());
}
inline unsigned char *bytes_of(std::string &text) noexcept { return reinterpret_cast<unsigned char *>(text.data()); }

inline constexpr std::string_view white_space = " \t\n\v\f\r";
/// What may stand around the parts of an HTTP header (RFC 9110 section 5.6.3).
inline constexpr std::string_view header_space = " \t";

/// Without those characters at both ends.
inline constexpr std::string_view trim(std::string_view text, std::string_view spaces = white_space) noexcept {
    const std::size_t first = text.find_first_not_of(spaces);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

} // namespace usher
