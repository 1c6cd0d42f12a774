#include "common/siphash.hpp"

#include <bit>
#include <cstring>

#include "common/random.hpp"

namespace usher {

namespace {

struct State {
    std::uint64_t v0, v1, v2, v3;

    void round() noexcept {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }

    void take(std::uint64_t word) noexcept {
        v3 ^= word;
        round();
        round();
        v0 ^= word;
    }

    std::uint64_t finish() noexcept {
        for (int i = 0; i < 4; ++i) round();
        return v0 ^ v1 ^ v2 ^ v3;
    }
};

/// Up to eight bytes, little-endian.
std::uint64_t word_at(const char *bytes, std::size_t size) noexcept {
    std::uint64_t word = 0;
    if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(&word, bytes, size);
    } else {
        for (std::size_t i = 0; i < size; ++i)
            word |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    return word;
}

} // namespace

SipKey SipKey::random() {
    SipKey key;
    fill_random(&key.low, sizeof key.low);
    fill_random(&key.high, sizeof key.high);
    return key;
}

SipHash siphash128(const SipKey &key, std::string_view bytes) noexcept {
    State state{0x736f6d6570736575 ^ key.low, 0x646f72616e646f6d ^ key.high, 0x6c7967656e657261 ^ key.low,
                0x7465646279746573 ^ key.high};
    state.v1 ^= 0xee; // 128 bits of result
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) state.take(word_at(bytes.data() + at, 8));
    const std::size_t rest = bytes.size() - at;
    state.take(static_cast<std::uint64_t>(bytes.size()) << 56 | (rest > 0 ? word_at(bytes.data() + at, rest) : 0));
    state.v2 ^= 0xee;
    const std::uint64_t first = state.finish();
    state.v1 ^= 0xdd;
    return {first, state.finish()};
}

} // namespace usher
