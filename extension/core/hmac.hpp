// HMAC-SHA256 (RFC 2104) of many messages under one key. The states of SHA-256 after the key's two blocks are kept, so
// that a short message costs its own blocks and no more.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

namespace usher {

class HmacSha256 {
public:
    static constexpr std::size_t bytes = 32;

    explicit HmacSha256(std::string_view key);
    ~HmacSha256();
    HmacSha256(const HmacSha256 &) = delete;
    HmacSha256 &operator=(const HmacSha256 &) = delete;

    void compute(std::string_view message, unsigned char *out) const noexcept;

private:
    struct States;
    std::unique_ptr<States> states_;
};

} // namespace usher
