#include "usher/identity/refresh_token.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include <algorithm>

namespace usher {

namespace {
constexpr std::string_view prefix = "urt_";
constexpr std::size_t id_bytes = 16, generation_bytes = 4, secret_bytes = 32;

std::string big_endian(std::uint32_t number) {
    std::string bytes(generation_bytes, '\0');
    for (std::size_t i = 0; i < generation_bytes; ++i)
        bytes[i] = static_cast<char>(number >> (8 * (generation_bytes - 1 - i)));
    return bytes;
}
} // namespace

std::string format_refresh_token(const RefreshToken &token) {
    std::string bytes(reinterpret_cast<const char *>(token.session_id.bytes.data()), id_bytes);
    bytes += big_endian(token.generation);
    bytes += token.secret;
    std::string text = std::string(prefix) + base64url_encode(bytes);
    wipe(bytes);
    return text;
}

std::optional<RefreshToken> parse_refresh_token(std::string_view text) {
    if (text.substr(0, prefix.size()) != prefix || text.size() > 128) return std::nullopt;
    const std::optional<std::string> bytes = base64url_decode(text.substr(prefix.size()));
    if (!bytes || bytes->size() != id_bytes + generation_bytes + secret_bytes) return std::nullopt;
    RefreshToken token;
    std::copy_n(bytes->begin(), id_bytes, reinterpret_cast<char *>(token.session_id.bytes.data()));
    token.generation = 0;
    for (std::size_t i = 0; i < generation_bytes; ++i)
        token.generation = token.generation << 8 | static_cast<unsigned char>((*bytes)[id_bytes + i]);
    token.secret = bytes->substr(id_bytes + generation_bytes);
    return token;
}

std::string refresh_token_hash(const RefreshToken &token) { return sha256_bytes(format_refresh_token(token)); }

RefreshToken successor(RefreshToken token, std::string_view rotation_key, std::uint32_t steps) {
    for (; steps > 0; --steps) {
        ++token.generation;
        token.secret = hmac_sha256(rotation_key, token.secret + big_endian(token.generation));
    }
    return token;
}

RefreshStanding standing_of(const RefreshToken &presented, std::uint32_t current_generation,
                            std::string_view current_hash, std::string_view rotation_key) {
    if (presented.generation > current_generation || current_generation - presented.generation > max_generations_back)
        return RefreshStanding::forged;
    const std::uint32_t back = current_generation - presented.generation;
    if (!constant_time_equal(refresh_token_hash(successor(presented, rotation_key, back)), current_hash))
        return RefreshStanding::forged;
    return back == 0 ? RefreshStanding::current : back == 1 ? RefreshStanding::parent : RefreshStanding::older;
}

} // namespace usher
