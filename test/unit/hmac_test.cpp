// HMAC with kept states: RFC 4231 and RFC 2202, and the same as OpenSSL's own for every hash function.
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include <cstring>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace {

using namespace usher;

struct Known {
    HashFunction function;
    const EVP_MD *(*openssl)();
    const char *jefe; // the MAC of "what do ya want for nothing?" under the key "Jefe"
};
constexpr Known functions[] = {
    {HashFunction::sha1, EVP_sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
    {HashFunction::sha256, EVP_sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {HashFunction::sha384, EVP_sha384,
     "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"},
    {HashFunction::sha512, EVP_sha512,
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b"
     "636e070a38bce737"},
};

std::string openssl_hmac(const EVP_MD *digest, std::string_view key, std::string_view message) {
    std::string mac(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    HMAC(digest, key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char *>(message.data()),
         message.size(), reinterpret_cast<unsigned char *>(mac.data()), &size);
    mac.resize(size);
    return mac;
}

TEST(HmacVectors, OfTheRfcs) {
    for (const Known &each : functions)
        EXPECT_EQ(hex_encode(Hmac(each.function, "Jefe").compute("what do ya want for nothing?")), each.jefe);
    EXPECT_EQ(hex_encode(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(
        hex_encode(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hmac, OfPartsIsThatOfTheWhole) {
    for (std::size_t size = 0; size < 200; ++size) {
        const std::string key(size, 'k'), one(size, 'a'), other(2 * size, 'b');
        const auto mac = hmac_sha256(key, {one, ".", other});
        EXPECT_EQ(std::string(mac.begin(), mac.end()), hmac_sha256(key, one + "." + other)) << size;
    }
}

TEST(Hmac, IsThatOfOpenSslForAllLengths) {
    for (const Known &each : functions)
        for (std::size_t size = 0; size < 300; ++size) {
            const std::string key(size, static_cast<char>(size)), message(3 * size, 'm');
            EXPECT_EQ(Hmac(each.function, key).compute(message), openssl_hmac(each.openssl(), key, message)) << size;
        }
}

TEST(Hmac, CanBeUsedAgain) {
    for (const Known &each : functions) {
        const Hmac mac(each.function, "key");
        const std::string first = mac.compute("message");
        EXPECT_EQ(first.size(), mac.bytes());
        EXPECT_LE(mac.bytes(), Hmac::max_bytes);
        EXPECT_NE(mac.compute("another"), first);
        EXPECT_EQ(mac.compute("message"), first);
    }
}

} // namespace
