#include "usher/identity/api_key.hpp"
#include "common/encoding.hpp"
#include "common/random.hpp"
#include "common/text.hpp"
#include <algorithm>

namespace usher {

namespace {
constexpr std::string_view mark = "uak_";
constexpr std::size_t prefix_bytes = 6, prefix_length = 12, secret_length = 43;
constexpr std::size_t key_length = mark.size() + prefix_length + 1 + secret_length;

bool is_base64url(char c) { return is_alphanumeric(c) || c == '-' || c == '_'; }
} // namespace

ApiKey make_api_key() {
    ApiKey key;
    key.prefix = hex_encode(random_bytes(prefix_bytes));
    key.text = std::string(mark) + key.prefix + '_' + random_token();
    return key;
}

bool looks_like_api_key(std::string_view text) noexcept { return text.starts_with(mark); }

std::optional<std::string_view> api_key_prefix(std::string_view text) noexcept {
    if (text.size() != key_length || !looks_like_api_key(text)) return std::nullopt;
    const std::string_view prefix = text.substr(mark.size(), prefix_length);
    const std::string_view secret = text.substr(key_length - secret_length);
    if (!is_lower_hex(prefix) || text[mark.size() + prefix_length] != '_' ||
        !std::all_of(secret.begin(), secret.end(), is_base64url))
        return std::nullopt;
    return prefix;
}

} // namespace usher
