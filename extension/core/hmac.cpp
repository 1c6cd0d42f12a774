#include "core/hmac.hpp"

// OpenSSL 3 keeps these functions, but would have everybody use EVP, which allocates and looks things up for every
// message: that took more than half of the time of verifying a token.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <cstring>

namespace usher {

struct HmacSha256::States {
    SHA256_CTX inner, outer;
};

HmacSha256::HmacSha256(std::string_view key) : states_(std::make_unique<States>()) {
    unsigned char block[SHA256_CBLOCK] = {};
    if (key.size() > sizeof block)
        SHA256(reinterpret_cast<const unsigned char *>(key.data()), key.size(), block);
    else
        std::memcpy(block, key.data(), key.size());
    for (unsigned char &byte : block) byte ^= 0x36;
    SHA256_Init(&states_->inner);
    SHA256_Update(&states_->inner, block, sizeof block);
    for (unsigned char &byte : block) byte ^= 0x36 ^ 0x5c;
    SHA256_Init(&states_->outer);
    SHA256_Update(&states_->outer, block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
}

HmacSha256::~HmacSha256() { OPENSSL_cleanse(states_.get(), sizeof(States)); }

void HmacSha256::compute(std::string_view message, unsigned char *out) const noexcept {
    SHA256_CTX state = states_->inner;
    SHA256_Update(&state, message.data(), message.size());
    SHA256_Final(out, &state);
    state = states_->outer;
    SHA256_Update(&state, out, bytes);
    SHA256_Final(out, &state);
}

} // namespace usher
