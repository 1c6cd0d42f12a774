// HMAC-SHA256 with kept states: RFC 4231, and the same as OpenSSL's own in one call.
#include "core/digest.hpp"
#include "core/encoding.hpp"
#include "core/hmac.hpp"
#include <cstring>
#include <gtest/gtest.h>

namespace {

using namespace usher;

std::string compute(std::string_view key, std::string_view message) {
    unsigned char out[HmacSha256::bytes];
    HmacSha256(key).compute(message, out);
    return {reinterpret_cast<const char *>(out), sizeof out};
}

TEST(HmacSha256Vectors, Rfc4231) {
    EXPECT_EQ(hex_encode(compute(std::string(20, '\x0b'), "Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(hex_encode(compute("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(hex_encode(compute(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, IsThatOfOpenSslForAllLengths) {
    for (std::size_t size = 0; size < 200; ++size) {
        const std::string key(size, static_cast<char>(size)), message(3 * size, 'm');
        EXPECT_EQ(compute(key, message), hmac_sha256(key, message)) << size;
    }
}

TEST(HmacSha256, CanBeUsedAgain) {
    const HmacSha256 mac("key");
    unsigned char first[HmacSha256::bytes], second[HmacSha256::bytes];
    mac.compute("message", first);
    mac.compute("another", second);
    mac.compute("message", second);
    EXPECT_EQ(std::memcmp(first, second, sizeof first), 0);
}

} // namespace
