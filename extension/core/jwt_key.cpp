// Keys of JSON Web Tokens: reading, making, exporting, and the signature algorithms, all through OpenSSL's EVP.
#include <memory>
#include <vector>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "core/digest.hpp"
#include "core/encoding.hpp"
#include "core/error.hpp"
#include "core/hmac.hpp"
#include "core/jwt.hpp"
#include "core/random.hpp"

namespace usher {

namespace {

template <auto function> struct Freer {
    template <class T> void operator()(T *object) const noexcept { function(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using MacPtr = std::unique_ptr<EVP_MAC, Freer<EVP_MAC_free>>;
using MacContextPtr = std::unique_ptr<EVP_MAC_CTX, Freer<EVP_MAC_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_clear_free>>;
using EcSignaturePtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

constexpr int min_rsa_bits = 2048; // NIST SP 800-131A
constexpr int max_rsa_bits = 8192; // verification stays within a millisecond or two
constexpr std::size_t max_key_text = 65536;
constexpr std::size_t max_secret = 65536;

[[noreturn]] void refuse(std::string message) {
    ERR_clear_error(); // the reason may quote the input; ours is enough
    throw Error("22023", std::move(message));
}

[[noreturn]] void fail(const char *what) {
    ERR_clear_error();
    throw Error("XX000", what);
}

const unsigned char *bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char *>(text.data()); }
unsigned char *bytes_of(std::string &text) { return reinterpret_cast<unsigned char *>(text.data()); }

std::string named(JwtAlgorithm algorithm) { return std::string(to_string(algorithm)); }

const EVP_MD *digest_of(JwtAlgorithm algorithm) noexcept {
    switch (algorithm) {
    case JwtAlgorithm::hs384:
    case JwtAlgorithm::es384: return EVP_sha384();
    case JwtAlgorithm::hs512:
    case JwtAlgorithm::es512: return EVP_sha512();
    case JwtAlgorithm::eddsa: return nullptr; // Ed25519 hashes by itself
    default: return EVP_sha256();
    }
}

/// Of HMAC: what the secret must have at least.
std::size_t hash_bytes(JwtAlgorithm algorithm) noexcept {
    return algorithm == JwtAlgorithm::hs512 ? 64 : algorithm == JwtAlgorithm::hs384 ? 48 : 32;
}

bool is_ecdsa(JwtAlgorithm algorithm) noexcept {
    return algorithm >= JwtAlgorithm::es256 && algorithm <= JwtAlgorithm::es512;
}
bool is_rsa(JwtAlgorithm algorithm) noexcept {
    return algorithm == JwtAlgorithm::rs256 || algorithm == JwtAlgorithm::ps256;
}

struct Curve {
    const char *jwk;     // name in a JWK
    const char *openssl; // group name
    std::size_t bytes;   // of a coordinate
};
Curve curve_of(JwtAlgorithm algorithm) noexcept {
    if (algorithm == JwtAlgorithm::es512) return {"P-521", "secp521r1", 66};
    if (algorithm == JwtAlgorithm::es384) return {"P-384", "secp384r1", 48};
    return {"P-256", "prime256v1", 32};
}

NumberPtr number_of(EVP_PKEY *key, const char *name) {
    BIGNUM *number = nullptr;
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
        ERR_clear_error();
        return nullptr;
    }
    return NumberPtr(number);
}

/// Big-endian bytes, at least `width` of them.
std::string bytes_of_number(const BIGNUM *number, std::size_t width = 0) {
    const auto needed = static_cast<std::size_t>(BN_num_bytes(number));
    std::string bytes(std::max(needed, width), '\0');
    if (BN_bn2binpad(number, bytes_of(bytes), static_cast<int>(bytes.size())) < 0)
        fail("could not export a number of a key");
    return bytes;
}

bool is_private(EVP_PKEY *key) {
    if (EVP_PKEY_is_a(key, "ED25519")) {
        std::size_t size = 0;
        const bool has = EVP_PKEY_get_raw_private_key(key, nullptr, &size) == 1;
        ERR_clear_error();
        return has;
    }
    return number_of(key, EVP_PKEY_is_a(key, "RSA") ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY) != nullptr;
}

/// The key must be of the kind, curve and size that its algorithm needs, and a valid key at all.
void check_key(JwtAlgorithm algorithm, EVP_PKEY *key, bool is_private_key) {
    if (is_ecdsa(algorithm)) {
        const Curve curve = curve_of(algorithm);
        char group[64] = "";
        if (!EVP_PKEY_is_a(key, "EC") ||
            EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, nullptr) != 1 ||
            std::string_view(group) != curve.openssl)
            refuse("algorithm " + named(algorithm) + " needs a key on curve " + curve.jwk);
    } else if (is_rsa(algorithm)) {
        if (!EVP_PKEY_is_a(key, "RSA")) refuse("algorithm " + named(algorithm) + " needs an RSA key");
        const int bits = EVP_PKEY_get_bits(key);
        if (bits < min_rsa_bits) refuse("RSA key has " + std::to_string(bits) + " bits, but at least 2048 are needed");
        if (bits > max_rsa_bits) refuse("RSA key has " + std::to_string(bits) + " bits, but at most 8192 are accepted");
        const NumberPtr exponent = number_of(key, OSSL_PKEY_PARAM_RSA_E);
        if (!exponent || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()) || BN_num_bits(exponent.get()) > 64)
            refuse("RSA key has a public exponent that is not accepted");
    } else if (!EVP_PKEY_is_a(key, "ED25519")) {
        refuse("algorithm " + named(algorithm) + " needs an Ed25519 key");
    }
    if (algorithm == JwtAlgorithm::eddsa) return; // every 32 bytes are a key
    const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    const bool valid = context && (is_private_key ? EVP_PKEY_pairwise_check(context.get())
                                                  : EVP_PKEY_public_check(context.get())) == 1;
    if (!valid) refuse("key is not valid for algorithm " + named(algorithm));
}

} // namespace

struct JwtKey::Impl {
    JwtAlgorithm algorithm;
    bool can_sign;
    KeyPtr key;                       // asymmetric
    std::string secret;               // HMAC
    MacContextPtr mac;                // keyed once: setting the key costs more than a short message
    std::optional<HmacSha256> sha256; // instead of mac for HS256

    Impl(JwtAlgorithm algorithm_, bool can_sign_) : algorithm(algorithm_), can_sign(can_sign_) {}
    Impl(const Impl &) = delete;
    Impl &operator=(const Impl &) = delete;
    ~Impl() { wipe(secret); }

    /// HMAC of the message with the kept context; returns its size.
    std::size_t compute_mac(std::string_view message, unsigned char (&out)[EVP_MAX_MD_SIZE]) const {
        if (sha256) {
            sha256->compute(message, out);
            return HmacSha256::bytes;
        }
        std::size_t size = 0;
        if (EVP_MAC_init(mac.get(), nullptr, 0, nullptr) != 1 ||
            EVP_MAC_update(mac.get(), bytes_of(message), message.size()) != 1 ||
            EVP_MAC_final(mac.get(), out, &size, sizeof out) != 1)
            fail("could not compute an HMAC");
        return size;
    }

    /// Padding of RSA signatures, set after DigestSignInit or DigestVerifyInit.
    bool set_padding(EVP_PKEY_CTX *context) const {
        if (algorithm != JwtAlgorithm::ps256) return true; // PKCS#1 v1.5 is the default of RSA keys
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
    }

    static std::shared_ptr<Impl> of_key(JwtAlgorithm algorithm, KeyPtr key) {
        const bool secret = is_private(key.get());
        check_key(algorithm, key.get(), secret);
        auto impl = std::make_shared<Impl>(algorithm, secret);
        impl->key = std::move(key);
        return impl;
    }
};

// --- Making and reading -------------------------------------------------------------------------------------

JwtKey JwtKey::from_secret(JwtAlgorithm algorithm, std::string_view secret) {
    if (!is_hmac(algorithm)) refuse("algorithm " + named(algorithm) + " needs a key pair, not a secret");
    const std::size_t needed = hash_bytes(algorithm);
    if (secret.size() < needed)
        refuse("secret for " + named(algorithm) + " has " + std::to_string(secret.size()) + " bytes, but at least " +
               std::to_string(needed) + " are needed");
    if (secret.size() > max_secret) refuse("secret for " + named(algorithm) + " is longer than 65536 bytes");
    auto impl = std::make_shared<Impl>(algorithm, true);
    impl->secret = secret;
    if (algorithm == JwtAlgorithm::hs256) {
        impl->sha256.emplace(secret);
        return JwtKey(std::move(impl));
    }
    const MacPtr mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    impl->mac.reset(mac ? EVP_MAC_CTX_new(mac.get()) : nullptr);
    std::string digest_name = EVP_MD_get0_name(digest_of(algorithm));
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name.data(), 0),
                                 OSSL_PARAM_construct_end()};
    if (!impl->mac ||
        EVP_MAC_init(impl->mac.get(), bytes_of(std::string_view(impl->secret)), impl->secret.size(), params) != 1)
        fail("could not set up an HMAC key");
    return JwtKey(std::move(impl));
}

JwtKey JwtKey::from_pem(JwtAlgorithm algorithm, std::string_view pem) {
    if (is_hmac(algorithm)) refuse("algorithm " + named(algorithm) + " needs a secret, not a key pair");
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

namespace {

/// Reads the members of a JWK.
class JwkReader {
public:
    explicit JwkReader(std::string_view text) {
        if (text.size() > max_key_text) refuse("JWK is longer than 65536 bytes");
        if (!document_.parse(text)) refuse("JWK is not valid JSON: " + document_.error());
        if (!document_.root().is_object()) refuse("JWK must be a JSON object");
    }

    std::string text(std::string_view name) const {
        const auto value = document_.root().find(name);
        if (!value) return {};
        if (!value->is_string()) refuse("member \"" + std::string(name) + "\" of the JWK must be a string");
        return value->as_string();
    }

    bool has(std::string_view name) const { return document_.root().find(name).has_value(); }

    /// Decoded bytes of a required member; `width` 0: any.
    std::string bytes(std::string_view name, std::size_t width = 0) const {
        if (!has(name)) refuse("JWK has no member \"" + std::string(name) + "\"");
        auto decoded = base64url_decode(text(name));
        if (!decoded || decoded->empty()) refuse("member \"" + std::string(name) + "\" of the JWK is not base64url");
        if (width != 0 && decoded->size() != width)
            refuse("member \"" + std::string(name) + "\" of the JWK must have " + std::to_string(width) + " bytes");
        return std::move(*decoded);
    }

private:
    json::Document document_;
};

KeyPtr key_from_params(const char *type, int selection, OSSL_PARAM_BLD *builder) {
    const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
    const KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY *key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, selection, params.get()) != 1)
        refuse("JWK is not a valid key");
    return KeyPtr(key);
}

KeyPtr ec_key_from_jwk(const JwkReader &jwk, JwtAlgorithm algorithm) {
    const Curve curve = curve_of(algorithm);
    if (jwk.text("crv") != curve.jwk) refuse("algorithm " + named(algorithm) + " needs a key on curve " + curve.jwk);
    std::string point = "\x04"; // uncompressed
    point += jwk.bytes("x", curve.bytes);
    point += jwk.bytes("y", curve.bytes);
    const BuilderPtr builder(OSSL_PARAM_BLD_new());
    NumberPtr secret;
    if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.openssl, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
        fail("could not build an EC key");
    if (jwk.has("d")) {
        std::string d = jwk.bytes("d", curve.bytes);
        secret.reset(BN_secure_new());
        if (!secret || BN_bin2bn(bytes_of(d), static_cast<int>(d.size()), secret.get()) == nullptr ||
            OSSL_PARAM_BLD_push_BN_pad(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get(), curve.bytes) != 1)
            fail("could not build an EC key");
        wipe(d);
    }
    return key_from_params("EC", secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, builder.get());
}

KeyPtr rsa_key_from_jwk(const JwkReader &jwk) {
    struct Part {
        const char *member, *param;
    };
    static constexpr Part parts[] = {{"n", OSSL_PKEY_PARAM_RSA_N},          {"e", OSSL_PKEY_PARAM_RSA_E},
                                     {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
                                     {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
                                     {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};
    const bool secret = jwk.has("d");
    const BuilderPtr builder(OSSL_PARAM_BLD_new());
    std::vector<NumberPtr> numbers; // the builder refers to them
    for (std::size_t i = 0; i < (secret ? std::size(parts) : 2); ++i) {
        std::string bytes = jwk.bytes(parts[i].member);
        if (bytes.size() > max_rsa_bits / 8) refuse("RSA key has more than 8192 bits");
        numbers.emplace_back(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
        wipe(bytes);
        if (!builder || !numbers.back() ||
            OSSL_PARAM_BLD_push_BN(builder.get(), parts[i].param, numbers.back().get()) != 1)
            fail("could not build an RSA key");
    }
    return key_from_params("RSA", secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, builder.get());
}

KeyPtr ed25519_key_from_jwk(const JwkReader &jwk) {
    if (jwk.text("crv") != "Ed25519") refuse("algorithm EdDSA needs a key on curve Ed25519");
    const std::string x = jwk.bytes("x", 32);
    if (!jwk.has("d"))
        return KeyPtr(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(std::string_view(x)), x.size()));
    std::string d = jwk.bytes("d", 32);
    KeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes_of(d), d.size()));
    wipe(d);
    std::string derived(32, '\0');
    std::size_t size = derived.size();
    if (!key || EVP_PKEY_get_raw_public_key(key.get(), bytes_of(derived), &size) != 1 || derived != x)
        refuse("JWK is not a valid key");
    return key;
}

} // namespace

JwtKey JwtKey::from_jwk(std::string_view text, std::optional<JwtAlgorithm> algorithm) {
    const JwkReader jwk(text);
    if (jwk.has("alg")) {
        const auto named_by_key = parse_jwt_algorithm(jwk.text("alg"));
        if (!named_by_key) refuse("JWK names an algorithm that is not supported");
        if (algorithm && *algorithm != *named_by_key)
            refuse("JWK is for algorithm " + named(*named_by_key) + ", not " + named(*algorithm));
        algorithm = named_by_key;
    }
    if (!algorithm) refuse("JWK has no member \"alg\", and no algorithm was given");
    if (jwk.has("use") && jwk.text("use") != "sig") refuse("JWK is not for signatures");
    const std::string type = jwk.text("kty");
    const char *wanted = is_hmac(*algorithm) ? "oct" : is_ecdsa(*algorithm) ? "EC" : is_rsa(*algorithm) ? "RSA" : "OKP";
    if (type != wanted) refuse("algorithm " + named(*algorithm) + " needs a JWK of type " + wanted);
    if (is_hmac(*algorithm)) {
        std::string secret = jwk.bytes("k");
        JwtKey key = from_secret(*algorithm, secret);
        wipe(secret);
        return key;
    }
    KeyPtr key = is_ecdsa(*algorithm) ? ec_key_from_jwk(jwk, *algorithm)
                 : is_rsa(*algorithm) ? rsa_key_from_jwk(jwk)
                                      : ed25519_key_from_jwk(jwk);
    if (!key) refuse("JWK is not a valid key");
    return JwtKey(Impl::of_key(*algorithm, std::move(key)));
}

JwtKey JwtKey::generate(JwtAlgorithm algorithm) {
    if (is_hmac(algorithm)) {
        std::string secret = random_bytes(hash_bytes(algorithm));
        JwtKey key = from_secret(algorithm, secret);
        wipe(secret);
        return key;
    }
    EVP_PKEY *key = nullptr;
    if (is_ecdsa(algorithm))
        key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve_of(algorithm).openssl);
    else if (is_rsa(algorithm))
        key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(min_rsa_bits));
    else
        key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    if (key == nullptr) fail("could not generate a key");
    return JwtKey(Impl::of_key(algorithm, KeyPtr(key)));
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

JwtAlgorithm JwtKey::algorithm() const noexcept { return impl_->algorithm; }
bool JwtKey::can_sign() const noexcept { return impl_->can_sign; }

std::string JwtKey::export_private() const {
    if (is_hmac(impl_->algorithm)) return base64url_encode(impl_->secret);
    if (!impl_->can_sign) throw Error("22023", "key has no private part");
    const BioPtr bio(BIO_new(BIO_s_secmem()));
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        fail("could not export a private key");
    const char *data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

namespace {

/// The members that RFC 7638 section 3.2 (and RFC 8037 section 2) hash, in their order.
std::string thumbprint_members(JwtAlgorithm algorithm, EVP_PKEY *key, std::string_view secret) {
    if (is_hmac(algorithm)) return "\"k\":\"" + base64url_encode(secret) + "\",\"kty\":\"oct\"";
    if (is_ecdsa(algorithm)) {
        const Curve curve = curve_of(algorithm);
        const NumberPtr x = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X);
        const NumberPtr y = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y);
        if (!x || !y) fail("could not export a public key");
        return std::string("\"crv\":\"") + curve.jwk + "\",\"kty\":\"EC\",\"x\":\"" +
               base64url_encode(bytes_of_number(x.get(), curve.bytes)) + "\",\"y\":\"" +
               base64url_encode(bytes_of_number(y.get(), curve.bytes)) + '"';
    }
    if (is_rsa(algorithm)) {
        const NumberPtr e = number_of(key, OSSL_PKEY_PARAM_RSA_E);
        const NumberPtr n = number_of(key, OSSL_PKEY_PARAM_RSA_N);
        if (!e || !n) fail("could not export a public key");
        return "\"e\":\"" + base64url_encode(bytes_of_number(e.get())) + "\",\"kty\":\"RSA\",\"n\":\"" +
               base64url_encode(bytes_of_number(n.get())) + '"';
    }
    std::string x(32, '\0');
    std::size_t size = x.size();
    if (EVP_PKEY_get_raw_public_key(key, bytes_of(x), &size) != 1) fail("could not export a public key");
    return "\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" + base64url_encode(x) + '"';
}

} // namespace

std::string JwtKey::public_jwk(std::string_view kid) const {
    if (is_hmac(impl_->algorithm)) return {};
    std::string jwk = "{";
    if (!kid.empty()) {
        jwk += "\"kid\":";
        json::append_string(jwk, kid);
        jwk += ',';
    }
    return jwk + "\"alg\":\"" + named(impl_->algorithm) + "\",\"use\":\"sig\"," +
           thumbprint_members(impl_->algorithm, impl_->key.get(), {}) + '}';
}

std::string JwtKey::thumbprint() const {
    return base64url_encode(
        sha256_bytes('{' + thumbprint_members(impl_->algorithm, impl_->key.get(), impl_->secret) + '}'));
}

// --- Signatures ---------------------------------------------------------------------------------------------

namespace {

/// DER as OpenSSL makes it to r||s of fixed width as RFC 7518 section 3.4 wants it.
std::string raw_from_der(std::string_view der, std::size_t width) {
    const unsigned char *at = bytes_of(der);
    const EcSignaturePtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
    if (!signature) fail("could not read a signature");
    return bytes_of_number(ECDSA_SIG_get0_r(signature.get()), width) +
           bytes_of_number(ECDSA_SIG_get0_s(signature.get()), width);
}

std::string der_from_raw(std::string_view raw, std::size_t width) {
    const EcSignaturePtr signature(ECDSA_SIG_new());
    NumberPtr r(BN_bin2bn(bytes_of(raw), static_cast<int>(width), nullptr));
    NumberPtr s(BN_bin2bn(bytes_of(raw) + width, static_cast<int>(width), nullptr));
    if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1)
        fail("could not read a signature");
    static_cast<void>(r.release()); // now owned by the signature
    static_cast<void>(s.release());
    unsigned char *der = nullptr;
    const int size = i2d_ECDSA_SIG(signature.get(), &der);
    if (size < 0) fail("could not read a signature");
    std::string out(reinterpret_cast<const char *>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return out;
}

} // namespace

std::string JwtKey::sign(std::string_view message) const {
    const Impl &impl = *impl_;
    if (is_hmac(impl.algorithm)) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        const std::size_t size = impl.compute_mac(message, mac);
        return {reinterpret_cast<const char *>(mac), size};
    }
    if (!impl.can_sign) throw Error("22023", "a public key cannot sign");
    const DigestContextPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX *key_context = nullptr; // owned by the context
    std::size_t size = 0;
    if (!context ||
        EVP_DigestSignInit(context.get(), &key_context, digest_of(impl.algorithm), nullptr, impl.key.get()) != 1 ||
        !impl.set_padding(key_context) ||
        EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) != 1)
        fail("could not sign");
    std::string signature(size, '\0');
    if (EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(message), message.size()) != 1)
        fail("could not sign");
    signature.resize(size);
    return is_ecdsa(impl.algorithm) ? raw_from_der(signature, curve_of(impl.algorithm).bytes) : signature;
}

bool JwtKey::verify(std::string_view message, std::string_view signature) const {
    const Impl &impl = *impl_;
    if (is_hmac(impl.algorithm)) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        const std::size_t size = impl.compute_mac(message, mac);
        return constant_time_equal({reinterpret_cast<const char *>(mac), size}, signature);
    }
    std::string der;
    if (is_ecdsa(impl.algorithm)) {
        const std::size_t width = curve_of(impl.algorithm).bytes;
        if (signature.size() != 2 * width) return false;
        der = der_from_raw(signature, width);
        signature = der;
    } else if (is_rsa(impl.algorithm) ? signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(impl.key.get()))
                                      : signature.size() != 64) {
        return false;
    }
    const DigestContextPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX *key_context = nullptr;
    if (!context ||
        EVP_DigestVerifyInit(context.get(), &key_context, digest_of(impl.algorithm), nullptr, impl.key.get()) != 1 ||
        !impl.set_padding(key_context))
        fail("could not verify a signature");
    const bool good =
        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
    if (!good) ERR_clear_error(); // a bad signature leaves entries in the error queue
    return good;
}

} // namespace usher
