#include "common/base32.hpp"
#include <cstdint>

namespace usher {

namespace {
constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
} // namespace

std::string base32_encode(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() * 8 + 4) / 5);
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const char byte : bytes) {
        buffer = buffer << 8 | static_cast<std::uint8_t>(byte);
        for (bits += 8; bits >= 5; bits -= 5) text += alphabet[buffer >> (bits - 5) & 31];
    }
    if (bits > 0) text += alphabet[buffer << (5 - bits) & 31];
    return text;
}

} // namespace usher
