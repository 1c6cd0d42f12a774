// SHA-256 digests, and secrets: comparison in constant time, overwriting (OpenSSL). HMAC is in common/hmac.hpp.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace usher {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);

/// The digest as a string of 32 bytes, the form in which token hashes are stored (bytea).
std::string sha256_bytes(std::string_view bytes);

/// Time depends on the lengths only. Different lengths are unequal.
bool constant_time_equal(std::string_view a, std::string_view b) noexcept;

/// Overwrites a secret before its memory is given back.
void wipe(std::string &secret) noexcept;

} // namespace usher
