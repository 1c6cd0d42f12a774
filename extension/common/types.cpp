#include "common/types.hpp"
#include "common/encoding.hpp"
#include <algorithm>

namespace usher {

namespace {
bool dash_before(std::size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }
} // namespace

std::string to_string(const Uuid &id) {
    std::string text(uuid_text_length, '\0');
    write_uuid(text.data(), id.bytes.data());
    return text;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    Uuid id;
    std::size_t at = 0;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (dash_before(i) && text[at++] != '-') return std::nullopt;
        const int high = hex_value(text[at]);
        const int low = hex_value(text[at + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
        at += 2;
    }
    return id;
}

Uuid make_uuid_v7(std::int64_t unix_microseconds, const std::array<std::uint8_t, 8> &random) {
    const auto milliseconds = static_cast<std::uint64_t>(unix_microseconds / 1000);
    const auto fraction = static_cast<std::uint64_t>(unix_microseconds % 1000) * 4096 / 1000;
    Uuid id;
    for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(milliseconds >> (40 - 8 * i));
    id.bytes[6] = static_cast<std::uint8_t>(0x70 | fraction >> 8);
    id.bytes[7] = static_cast<std::uint8_t>(fraction);
    for (int i = 0; i < 8; ++i) id.bytes[8 + i] = random[i];
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

Uuid make_uuid_v8(const std::array<std::uint8_t, 32> &digest) {
    Uuid id;
    std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
    id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x80);
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

} // namespace usher
