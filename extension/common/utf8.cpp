#include "common/utf8.hpp"

#include <cstring>

namespace usher {

namespace {

/// Length of the well-formed sequence at `at`, or 0 (Unicode standard, table 3-7).
std::size_t sequence_length(const unsigned char *at, std::size_t left) noexcept {
    const unsigned char lead = at[0];
    const auto continues = [&](std::size_t i) { return i < left && (at[i] & 0xc0) == 0x80; };
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0; // continuation byte, or overlong form of ASCII
    if (lead < 0xe0) return continues(1) ? 2 : 0;
    if (lead < 0xf0) {
        if (!continues(1) || !continues(2)) return 0;
        if (lead == 0xe0 && at[1] < 0xa0) return 0;  // overlong
        if (lead == 0xed && at[1] >= 0xa0) return 0; // surrogate
        return 3;
    }
    if (lead < 0xf5) {
        if (!continues(1) || !continues(2) || !continues(3)) return 0;
        if (lead == 0xf0 && at[1] < 0x90) return 0;  // overlong
        if (lead == 0xf4 && at[1] >= 0x90) return 0; // above U+10FFFF
        return 4;
    }
    return 0;
}

} // namespace

bool is_valid_utf8(std::string_view text) noexcept {
    const auto *at = reinterpret_cast<const unsigned char *>(text.data());
    std::size_t left = text.size();
    while (left > 0) {
        if (left >= 8) { // eight ASCII characters at once
            std::uint64_t eight;
            std::memcpy(&eight, at, sizeof eight);
            if ((eight & 0x8080808080808080U) == 0) {
                at += 8;
                left -= 8;
                continue;
            }
        }
        const std::size_t length = sequence_length(at, left);
        if (length == 0) return false;
        at += length;
        left -= length;
    }
    return true;
}

std::size_t utf8_length(std::string_view text) noexcept {
    std::size_t characters = 0;
    for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return characters;
}

std::string_view clip(std::string_view text, std::size_t bytes) noexcept {
    if (text.size() <= bytes) return text;
    // not before a continuation byte; what has more than three of them in a row is no UTF-8, and is cut anywhere
    std::size_t end = bytes;
    while (end > 0 && bytes - end < 3 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end);
}

void append_utf8(std::string &out, std::uint32_t code_point) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code_point >> shift & 0x3f)); };
    if (code_point < 0x80) {
        out += static_cast<char>(code_point);
    } else if (code_point < 0x800) {
        out += static_cast<char>(0xc0 | code_point >> 6);
        tail(0);
    } else if (code_point < 0x10000) {
        out += static_cast<char>(0xe0 | code_point >> 12);
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xf0 | code_point >> 18);
        tail(12);
        tail(6);
        tail(0);
    }
}

} // namespace usher
