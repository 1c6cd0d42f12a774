#include "core/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "core/error.hpp"

namespace usher {

namespace {
const unsigned char *bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char *>(text.data()); }
} // namespace

Sha256 sha256(std::string_view bytes) {
    Sha256 digest;
    SHA256(bytes_of(bytes), bytes.size(), digest.data());
    return digest;
}

std::string sha256_bytes(std::string_view bytes) {
    const Sha256 digest = sha256(bytes);
    return {reinterpret_cast<const char *>(digest.data()), digest.size()};
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
    std::string mac(32, '\0');
    unsigned int size = 0;
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(message), message.size(),
             reinterpret_cast<unsigned char *>(mac.data()), &size) == nullptr ||
        size != mac.size())
        throw Error("XX000", "could not compute HMAC-SHA256");
    return mac;
}

bool constant_time_equal(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string &secret) noexcept {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

} // namespace usher
