#include "common/encoding.hpp"

#include <array>
#include <cstdint>

namespace usher {

namespace {

constexpr char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr char std_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t invalid = 0xff; // has the two top bits set, which no value below 64 has

constexpr std::array<std::uint8_t, 256> reverse(const char *alphabet) {
    std::array<std::uint8_t, 256> table{};
    table.fill(invalid);
    for (std::uint8_t i = 0; i < 64; ++i) table[static_cast<unsigned char>(alphabet[i])] = i;
    return table;
}

constexpr auto url_values = reverse(url_alphabet);
constexpr auto std_values = reverse(std_alphabet);

std::string encode(std::string_view bytes, const char *alphabet, bool pad) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3) {
        const std::uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
        const char four[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63], alphabet[group >> 6 & 63],
                              alphabet[group & 63]};
        text.append(four, 4);
    }
    const std::size_t rest = bytes.size() - i;
    if (rest > 0) {
        const std::uint32_t group = at(i) << 16 | (rest == 2 ? at(i + 1) << 8 : 0);
        text += alphabet[group >> 18];
        text += alphabet[group >> 12 & 63];
        if (rest == 2) text += alphabet[group >> 6 & 63];
        if (pad) text.append(3 - rest, '=');
    }
    return text;
}

bool decode(std::string_view text, const std::array<std::uint8_t, 256> &values, std::string &out) {
    const std::size_t rest = text.size() % 4;
    if (rest == 1) return false;
    out.resize(text.size() / 4 * 3 + (rest ? rest - 1 : 0));
    const auto at = [from = text.data(), table = values.data()](std::size_t i) {
        return static_cast<std::uint32_t>(table[static_cast<unsigned char>(from[i])]);
    };
    std::uint32_t seen = 0; // all values or-ed together: one test at the end finds any invalid character
    char *to = out.data();  // a local pointer: characters written could change the string's own
    std::size_t i = 0;
    for (; i + 4 <= text.size(); i += 4, to += 3) {
        const std::uint32_t a = at(i), b = at(i + 1), c = at(i + 2), d = at(i + 3);
        seen |= a | b | c | d;
        const std::uint32_t group = a << 18 | b << 12 | c << 6 | d;
        to[0] = static_cast<char>(group >> 16 & 0xff);
        to[1] = static_cast<char>(group >> 8 & 0xff);
        to[2] = static_cast<char>(group & 0xff);
    }
    if (rest > 0) {
        const std::uint32_t a = at(i), b = at(i + 1), c = rest == 3 ? at(i + 2) : 0;
        seen |= a | b | c;
        // The bits that no byte uses must be zero, else two texts would mean the same bytes.
        if (rest == 2 ? (b & 15) != 0 : (c & 3) != 0) return false;
        to[0] = static_cast<char>(a << 2 | b >> 4);
        if (rest == 3) to[1] = static_cast<char>((b & 15) << 4 | c >> 2);
    }
    return (seen & 0xc0) == 0;
}

} // namespace

std::string base64url_encode(std::string_view bytes) { return encode(bytes, url_alphabet, false); }

bool base64url_decode(std::string_view text, std::string &out) { return decode(text, url_values, out); }

std::optional<std::string> base64url_decode(std::string_view text) {
    std::string out;
    if (!decode(text, url_values, out)) return std::nullopt;
    return out;
}

std::string base64_encode(std::string_view bytes, Padding padding) {
    return encode(bytes, std_alphabet, padding == Padding::required);
}

std::optional<std::string> base64_decode(std::string_view text, Padding padding) {
    if (padding == Padding::required) {
        if (text.size() % 4 != 0) return std::nullopt;
        for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
    }
    std::string out;
    if (!decode(text, std_values, out)) return std::nullopt;
    return out;
}

std::string hex_encode(std::string_view bytes) {
    std::string text(bytes.size() * 2, '\0');
    write_hex(text.data(), reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
    return text;
}

std::optional<std::string> hex_decode(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_value(text[i]);
        const int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes += static_cast<char>(high << 4 | low);
    }
    return bytes;
}

} // namespace usher
