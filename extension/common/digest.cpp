#include "common/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/error.hpp"

namespace usher {

namespace {

/// OpenSSL looks the algorithm up in every one-shot call, which costs more than hashing a token does.
struct Sha256Context {
    EVP_MD *const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX *const context = EVP_MD_CTX_new();
};

Sha256Context &sha256_context() {
    thread_local Sha256Context *kept = nullptr; // never destroyed: one per thread that hashes
    if (kept == nullptr) kept = new Sha256Context;
    return *kept;
}

} // namespace

Sha256 sha256(std::string_view bytes) {
    Sha256 digest;
    const Sha256Context &kept = sha256_context();
    if (EVP_DigestInit_ex2(kept.context, kept.algorithm, nullptr) != 1 ||
        EVP_DigestUpdate(kept.context, bytes.data(), bytes.size()) != 1 ||
        EVP_DigestFinal_ex(kept.context, digest.data(), nullptr) != 1)
        throw Error("XX000", "could not compute SHA-256");
    return digest;
}

std::string sha256_bytes(std::string_view bytes) {
    const Sha256 digest = sha256(bytes);
    return {reinterpret_cast<const char *>(digest.data()), digest.size()};
}

bool constant_time_equal(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string &secret) noexcept {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

} // namespace usher
