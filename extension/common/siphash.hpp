// SipHash-2-4 with 128 bits of result: a keyed hash an order of magnitude cheaper than SHA-256, for tables in memory
// whose keys come from outside. Without the key nobody can make two texts meet; the key is random and never leaves the
// process.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace usher {

struct SipKey {
    std::uint64_t low = 0, high = 0;
    /// From OpenSSL's generator.
    static SipKey random();
};

using SipHash = std::array<std::uint64_t, 2>;

SipHash siphash128(const SipKey &key, std::string_view bytes) noexcept;

} // namespace usher
