// API keys: what a machine shows instead of logging in. "uak_", a prefix that names the key, "_", and 256 bits of
// secret:
//
//     uak_3f9a0c2d11aa_Zx…43 characters of base64url…Q
//
// The prefix is public: it stands in lists and logs. Of the whole key only the SHA-256 is stored. "uak_" lets scanners
// for leaked secrets recognise one.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace usher {

struct ApiKey {
    std::string text;
    std::string prefix; // 12 hexadecimal digits
};

ApiKey make_api_key();

/// Might this be an API key, rather than a token of another kind?
bool looks_like_api_key(std::string_view text) noexcept;

/// The prefix, if the text has the form of a key.
std::optional<std::string_view> api_key_prefix(std::string_view text) noexcept;

} // namespace usher
