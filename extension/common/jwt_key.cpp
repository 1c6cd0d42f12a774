// Keys of JSON Web Tokens: reading, making, exporting and signing, all through OpenSSL's EVP. What is particular to an
// algorithm stands in common/jwt_algorithms.cpp.
#include <algorithm>
#include <memory>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/jwt_algorithms.hpp"
#include "common/random.hpp"

namespace usher {

using namespace jwt;

namespace {

using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;

constexpr std::size_t max_secret = 65536;

/// The key must be what its algorithm needs, and a valid key at all.
void check_key(const Algorithm &algorithm, EVP_PKEY *key, bool is_private_key) {
    algorithm.family->check(algorithm, key);
    if (!algorithm.family->may_be_invalid) return;
    const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    const bool valid = context && (is_private_key ? EVP_PKEY_pairwise_check(context.get())
                                                  : EVP_PKEY_public_check(context.get())) == 1;
    if (!valid) refuse("key is not valid for algorithm " + named(algorithm));
}

} // namespace

struct JwtKey::Impl {
    const Algorithm &algorithm;
    bool can_sign;
    bool may_sign = true, may_verify = true; // by key_ops
    KeyPtr key;                              // of a key pair
    std::string secret;                      // HMAC
    std::optional<Hmac> hmac;                // keyed once: setting the key costs more than a short message

    Impl(const Algorithm &algorithm_, bool can_sign_) : algorithm(algorithm_), can_sign(can_sign_) {}
    Impl(const Impl &) = delete;
    Impl &operator=(const Impl &) = delete;
    ~Impl() { wipe(secret); }

    bool set_padding(EVP_PKEY_CTX *context) const {
        return algorithm.set_padding == nullptr || algorithm.set_padding(context);
    }
    [[nodiscard]] const EVP_MD *digest() const { return algorithm.digest == nullptr ? nullptr : algorithm.digest(); }

    static std::shared_ptr<Impl> of_key(const Algorithm &algorithm, KeyPtr key) {
        const bool secret = has_private_part(key.get());
        check_key(algorithm, key.get(), secret);
        auto impl = std::make_shared<Impl>(algorithm, secret);
        impl->key = std::move(key);
        return impl;
    }
};

// --- Making and reading -------------------------------------------------------------------------------------

JwtKey JwtKey::from_secret(JwtAlgorithm id, std::string_view secret) {
    const Algorithm &algorithm = entry_of(id);
    if (algorithm.family != nullptr) refuse("algorithm " + named(algorithm) + " needs a key pair, not a secret");
    if (secret.size() < algorithm.secret_bytes)
        refuse("secret for " + named(algorithm) + " has " + std::to_string(secret.size()) + " bytes, but at least " +
               std::to_string(algorithm.secret_bytes) + " are needed");
    if (secret.size() > max_secret) refuse("secret for " + named(algorithm) + " is longer than 65536 bytes");
    auto impl = std::make_shared<Impl>(algorithm, true);
    impl->secret = secret;
    impl->hmac.emplace(algorithm.hmac, secret);
    return JwtKey(std::move(impl));
}

JwtKey JwtKey::from_pem(JwtAlgorithm id, std::string_view pem) {
    const Algorithm &algorithm = entry_of(id);
    if (algorithm.family == nullptr) refuse("algorithm " + named(algorithm) + " needs a secret, not a key pair");
    if (pem.size() > max_key_text) refuse("key is longer than 65536 bytes");
    // Without this OpenSSL would ask for a passphrase on the terminal.
    pem_password_cb *no_passphrase = [](char *, int, int, void *) { return -1; };
    const auto read = [&](auto reader) {
        const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
        return KeyPtr(bio ? reader(bio.get()) : nullptr);
    };
    KeyPtr key = read([&](BIO *bio) { return PEM_read_bio_PrivateKey(bio, nullptr, no_passphrase, nullptr); });
    if (!key) key = read([&](BIO *bio) { return PEM_read_bio_PUBKEY(bio, nullptr, no_passphrase, nullptr); });
    ERR_clear_error();
    if (!key) refuse("key is not a readable, unencrypted PEM key");
    return JwtKey(Impl::of_key(algorithm, std::move(key)));
}

JwtKey JwtKey::from_jwk(std::string_view text, std::optional<JwtAlgorithm> wanted) {
    const JwkReader jwk(text);
    JwtKey key = read_jwk(jwk, wanted);
    if (const auto operations = jwk.texts("key_ops")) {
        const auto allows = [&](const char *operation) {
            return std::find(operations->begin(), operations->end(), operation) != operations->end();
        };
        key.impl_->may_sign = allows("sign");
        key.impl_->may_verify = allows("verify");
        if (!key.can_sign() && !key.impl_->may_verify) refuse("JWK is not for signatures");
    }
    return key;
}

JwtKey JwtKey::read_jwk(const JwkReader &jwk, std::optional<JwtAlgorithm> wanted) {
    if (jwk.has("alg")) {
        const auto named_by_key = parse_jwt_algorithm(jwk.text("alg"));
        if (!named_by_key) refuse("JWK names an algorithm that is not supported");
        if (wanted && *wanted != *named_by_key)
            refuse("JWK is for algorithm " + named(entry_of(*named_by_key)) + ", not " + named(entry_of(*wanted)));
        wanted = named_by_key;
    }
    if (!wanted) refuse("JWK has no member \"alg\", and no algorithm was given");
    if (jwk.has("use") && jwk.text("use") != "sig") refuse("JWK is not for signatures");
    const Algorithm &algorithm = entry_of(*wanted);
    const char *const kty = algorithm.family == nullptr ? "oct" : algorithm.family->kty;
    if (jwk.text("kty") != kty) refuse("algorithm " + named(algorithm) + " needs a JWK of type " + kty);
    if (algorithm.family == nullptr) {
        std::string secret = jwk.bytes("k");
        JwtKey key = from_secret(algorithm.id, secret);
        wipe(secret);
        return key;
    }
    KeyPtr key = algorithm.family->read(algorithm, jwk);
    if (!key) refuse("JWK is not a valid key");
    return JwtKey(Impl::of_key(algorithm, std::move(key)));
}

JwtKey JwtKey::generate(JwtAlgorithm id) {
    const Algorithm &algorithm = entry_of(id);
    if (algorithm.family == nullptr) {
        std::string secret = random_bytes(algorithm.secret_bytes);
        JwtKey key = from_secret(id, secret);
        wipe(secret);
        return key;
    }
    KeyPtr key(algorithm.family->generate(algorithm));
    if (!key) fail("could not generate a key");
    return JwtKey(Impl::of_key(algorithm, std::move(key)));
}

JwtKey JwtKey::import_private(JwtAlgorithm algorithm, std::string_view exported) {
    if (!is_hmac(algorithm)) return from_pem(algorithm, exported);
    auto secret = base64url_decode(exported);
    if (!secret) refuse("stored secret is not base64url");
    JwtKey key = from_secret(algorithm, *secret);
    wipe(*secret);
    return key;
}

// --- Export -------------------------------------------------------------------------------------------------

JwtAlgorithm JwtKey::algorithm() const noexcept { return impl_->algorithm.id; }
bool JwtKey::can_sign() const noexcept { return impl_->can_sign && impl_->may_sign; }

std::string JwtKey::export_private() const {
    if (impl_->algorithm.family == nullptr) return base64url_encode(impl_->secret);
    if (!impl_->can_sign) throw Error("22023", "key has no private part");
    const BioPtr bio(BIO_new(BIO_s_secmem()));
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        fail("could not export a private key");
    const char *data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

std::string JwtKey::public_jwk(std::string_view kid) const {
    const Algorithm &algorithm = impl_->algorithm;
    if (algorithm.family == nullptr) return {};
    std::string jwk = "{";
    if (!kid.empty()) {
        jwk += "\"kid\":";
        json::append_string(jwk, kid);
        jwk += ',';
    }
    return jwk + "\"alg\":\"" + named(algorithm) + "\",\"use\":\"sig\"," +
           algorithm.family->members(algorithm, impl_->key.get()) + '}';
}

std::string JwtKey::thumbprint() const {
    const Algorithm &algorithm = impl_->algorithm;
    const std::string members = algorithm.family == nullptr
                                    ? "\"k\":\"" + base64url_encode(impl_->secret) + "\",\"kty\":\"oct\""
                                    : algorithm.family->members(algorithm, impl_->key.get());
    return base64url_encode(sha256_bytes('{' + members + '}'));
}

// --- Signatures ---------------------------------------------------------------------------------------------

std::string JwtKey::sign(std::string_view message) const {
    const Impl &impl = *impl_;
    if (!impl.can_sign) throw Error("22023", "a public key cannot sign");
    if (!impl.may_sign) throw Error("22023", "the key_ops of the key do not allow it to sign");
    if (impl.hmac) return impl.hmac->compute(message);
    const DigestContextPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX *key_context = nullptr; // owned by the context
    std::size_t size = 0;
    if (!context || EVP_DigestSignInit(context.get(), &key_context, impl.digest(), nullptr, impl.key.get()) != 1 ||
        !impl.set_padding(key_context) ||
        EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) != 1)
        fail("could not sign");
    std::string signature(size, '\0');
    if (EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(message), message.size()) != 1)
        fail("could not sign");
    signature.resize(size);
    return impl.algorithm.family->to_jws(impl.algorithm, signature);
}

bool JwtKey::verify(std::string_view message, std::string_view given) const {
    const Impl &impl = *impl_;
    if (!impl.may_verify) throw Error("22023", "the key_ops of the key do not allow it to verify");
    if (impl.hmac) {
        unsigned char mac[Hmac::max_bytes];
        impl.hmac->compute(message, mac);
        return constant_time_equal({reinterpret_cast<const char *>(mac), impl.hmac->bytes()}, given);
    }
    const std::optional<std::string> signature = impl.algorithm.family->from_jws(impl.algorithm, impl.key.get(), given);
    if (!signature) return false;
    const DigestContextPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX *key_context = nullptr;
    if (!context || EVP_DigestVerifyInit(context.get(), &key_context, impl.digest(), nullptr, impl.key.get()) != 1 ||
        !impl.set_padding(key_context))
        fail("could not verify a signature");
    const bool good = EVP_DigestVerify(context.get(), bytes_of(std::string_view(*signature)), signature->size(),
                                       bytes_of(message), message.size()) == 1;
    if (!good) ERR_clear_error(); // a bad signature leaves entries in the error queue
    return good;
}

} // namespace usher
