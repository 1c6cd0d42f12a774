#include "common/hmac.hpp"

// OpenSSL 3 keeps these functions, but would have everybody use EVP, which allocates and looks things up for every
// message: that took more than half of the time of verifying a token.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <array>
#include <cstring>

namespace usher {

/// A hash function. A state lies in plain memory of `state_bytes`.
struct Hmac::Algorithm {
    HashFunction function;
    std::size_t block_bytes, bytes, state_bytes;
    void (*init)(void *state);
    void (*update)(void *state, const void *data, std::size_t size);
    void (*finish)(void *state, unsigned char *out);
};

namespace {
template <class State, int (*init)(State *), int (*update)(State *, const void *, std::size_t),
          int (*finish)(unsigned char *, State *)>
struct Functions { // which cannot fail
    static void start(void *state) { init(static_cast<State *>(state)); }
    static void add(void *state, const void *data, std::size_t size) {
        update(static_cast<State *>(state), data, size);
    }
    static void end(void *state, unsigned char *out) { finish(out, static_cast<State *>(state)); }
};
using Sha1Functions = Functions<SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final>;
using Sha256Functions = Functions<SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final>;
using Sha384Functions = Functions<SHA512_CTX, SHA384_Init, SHA384_Update, SHA384_Final>;
using Sha512Functions = Functions<SHA512_CTX, SHA512_Init, SHA512_Update, SHA512_Final>;

constexpr std::size_t largest_block = SHA512_CBLOCK, largest_state = sizeof(SHA512_CTX);
static_assert(sizeof(SHA_CTX) <= largest_state && sizeof(SHA256_CTX) <= largest_state);
} // namespace

const Hmac::Algorithm &Hmac::algorithm_of(HashFunction function) noexcept {
    using enum HashFunction;
    static constexpr std::array<Algorithm, 4> algorithms{{
        {sha1, SHA_CBLOCK, SHA_DIGEST_LENGTH, sizeof(SHA_CTX), Sha1Functions::start, Sha1Functions::add,
         Sha1Functions::end},
        {sha256, SHA256_CBLOCK, SHA256_DIGEST_LENGTH, sizeof(SHA256_CTX), Sha256Functions::start, Sha256Functions::add,
         Sha256Functions::end},
        {sha384, SHA512_CBLOCK, SHA384_DIGEST_LENGTH, sizeof(SHA512_CTX), Sha384Functions::start, Sha384Functions::add,
         Sha384Functions::end},
        {sha512, SHA512_CBLOCK, SHA512_DIGEST_LENGTH, sizeof(SHA512_CTX), Sha512Functions::start, Sha512Functions::add,
         Sha512Functions::end},
    }};
    return algorithms[static_cast<std::size_t>(function)];
}

Hmac::Hmac(HashFunction function, std::string_view key)
    : algorithm_(algorithm_of(function)), states_(new unsigned char[2 * algorithm_.state_bytes]) {
    unsigned char block[largest_block] = {};
    unsigned char *const inner = states_.get(), *const outer = inner + algorithm_.state_bytes;
    if (key.size() > algorithm_.block_bytes) {
        algorithm_.init(inner);
        algorithm_.update(inner, key.data(), key.size());
        algorithm_.finish(inner, block);
    } else if (!key.empty()) {
        std::memcpy(block, key.data(), key.size());
    }
    for (unsigned char &byte : block) byte ^= 0x36;
    algorithm_.init(inner);
    algorithm_.update(inner, block, algorithm_.block_bytes);
    for (unsigned char &byte : block) byte ^= 0x36 ^ 0x5c;
    algorithm_.init(outer);
    algorithm_.update(outer, block, algorithm_.block_bytes);
    OPENSSL_cleanse(block, sizeof block);
}

Hmac::~Hmac() { OPENSSL_cleanse(states_.get(), 2 * algorithm_.state_bytes); }

std::size_t Hmac::bytes() const noexcept { return algorithm_.bytes; }

void Hmac::compute(std::string_view message, unsigned char *out) const noexcept {
    alignas(SHA512_CTX) unsigned char state[largest_state];
    std::memcpy(state, states_.get(), algorithm_.state_bytes);
    algorithm_.update(state, message.data(), message.size());
    algorithm_.finish(state, out);
    std::memcpy(state, states_.get() + algorithm_.state_bytes, algorithm_.state_bytes);
    algorithm_.update(state, out, algorithm_.bytes);
    algorithm_.finish(state, out);
}

std::string Hmac::compute(std::string_view message) const {
    std::string mac(algorithm_.bytes, '\0');
    compute(message, reinterpret_cast<unsigned char *>(mac.data()));
    return mac;
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
    return Hmac(HashFunction::sha256, key).compute(message);
}

std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::initializer_list<std::string_view> parts) noexcept {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> mac;
    unsigned char block[SHA256_CBLOCK] = {};
    SHA256_CTX state;
    if (key.size() > sizeof block) {
        SHA256_Init(&state);
        SHA256_Update(&state, key.data(), key.size());
        SHA256_Final(block, &state);
    } else if (!key.empty()) {
        std::memcpy(block, key.data(), key.size());
    }
    for (unsigned char &byte : block) byte ^= 0x36;
    SHA256_Init(&state);
    SHA256_Update(&state, block, sizeof block);
    for (const std::string_view part : parts) SHA256_Update(&state, part.data(), part.size());
    SHA256_Final(mac.data(), &state);
    for (unsigned char &byte : block) byte ^= 0x36 ^ 0x5c;
    SHA256_Init(&state);
    SHA256_Update(&state, block, sizeof block);
    SHA256_Update(&state, mac.data(), mac.size());
    SHA256_Final(mac.data(), &state);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(&state, sizeof state);
    return mac;
}

} // namespace usher
