// HMAC (RFC 2104) over the hash functions of SHA-1 and SHA-2. The states of the hash after the key's two blocks are
// kept, so that a short message costs its own blocks and no more.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace usher {

enum class HashFunction : std::uint8_t { sha1, sha256, sha384, sha512 };

class Hmac {
public:
    static constexpr std::size_t max_bytes = 64; // of any of the functions

    Hmac(HashFunction function, std::string_view key);
    ~Hmac();
    Hmac(const Hmac &) = delete;
    Hmac &operator=(const Hmac &) = delete;

    /// How many bytes a MAC has.
    [[nodiscard]] std::size_t bytes() const noexcept;
    /// Writes bytes() bytes. One key serves any number of messages.
    void compute(std::string_view message, unsigned char *out) const noexcept;
    [[nodiscard]] std::string compute(std::string_view message) const;

private:
    struct Algorithm;
    static const Algorithm &algorithm_of(HashFunction function) noexcept;
    const Algorithm &algorithm_;
    std::unique_ptr<unsigned char[]> states_; // that of the inner hash, and that of the outer one
};

/// The MAC of one message. Whoever has many keeps an Hmac.
std::string hmac_sha256(std::string_view key, std::string_view message);

/// The same of a message in parts, which need not be put together; nothing is allocated.
std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::initializer_list<std::string_view> parts) noexcept;

} // namespace usher
