// Random bytes for keys, tokens and salts, from OpenSSL's generator. Every function here throws
// usher::Error when the generator fails; nothing weaker is ever used instead.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace usher {

void fill_random(void *out, std::size_t size);

std::string random_bytes(std::size_t size);

/// 256 random bits as 43 characters of base64url: refresh tokens, one-time tokens, API keys.
std::string random_token();

/// Uniform in [0, bound), bound > 0.
std::uint32_t random_below(std::uint32_t bound);

/// Decimal digits, leading zeros included: one-time codes.
std::string random_digits(int count);

} // namespace usher
