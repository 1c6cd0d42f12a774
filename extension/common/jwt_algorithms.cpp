#include "common/jwt_algorithms.hpp"

#include <algorithm>
#include <array>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"

namespace usher::jwt {

namespace {

using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_clear_free>>;
using EcSignaturePtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

constexpr int min_rsa_bits = 2048; // NIST SP 800-131A
constexpr int max_rsa_bits = 8192; // verification stays within a millisecond or two
constexpr std::size_t ed25519_signature_bytes = 64;

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

KeyPtr key_from_params(const char *type, int selection, OSSL_PARAM_BLD *builder) {
    const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
    const KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY *key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, selection, params.get()) != 1)
        refuse("JWK is not a valid key");
    return KeyPtr(key);
}

// --- Elliptic curves (ECDSA) ---

void check_ec(const Algorithm &algorithm, EVP_PKEY *key) {
    char group[64] = "";
    if (!EVP_PKEY_is_a(key, "EC") ||
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, nullptr) != 1 ||
        std::string_view(group) != algorithm.curve.openssl)
        refuse("algorithm " + named(algorithm) + " needs a key on curve " + algorithm.curve.jwk);
}

KeyPtr read_ec(const Algorithm &algorithm, const JwkReader &jwk) {
    const Curve &curve = algorithm.curve;
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

EVP_PKEY *generate_ec(const Algorithm &algorithm) {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", algorithm.curve.openssl);
}

std::string ec_members(const Algorithm &algorithm, EVP_PKEY *key) {
    const Curve &curve = algorithm.curve;
    const NumberPtr x = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X);
    const NumberPtr y = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y);
    if (!x || !y) fail("could not export a public key");
    return std::string("\"crv\":\"") + curve.jwk + "\",\"kty\":\"EC\",\"x\":\"" +
           base64url_encode(bytes_of_number(x.get(), curve.bytes)) + "\",\"y\":\"" +
           base64url_encode(bytes_of_number(y.get(), curve.bytes)) + '"';
}

/// DER as OpenSSL makes it to r||s of fixed width as RFC 7518 section 3.4 wants it.
std::string raw_from_der(const Algorithm &algorithm, const std::string &der) {
    const std::size_t width = algorithm.curve.bytes;
    const unsigned char *at = bytes_of(der);
    const EcSignaturePtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
    if (!signature) fail("could not read a signature");
    return bytes_of_number(ECDSA_SIG_get0_r(signature.get()), width) +
           bytes_of_number(ECDSA_SIG_get0_s(signature.get()), width);
}

std::optional<std::string> der_from_raw(const Algorithm &algorithm, EVP_PKEY *, std::string_view raw) {
    const std::size_t width = algorithm.curve.bytes;
    if (raw.size() != 2 * width) return std::nullopt;
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

constexpr Family elliptic{"EC", check_ec, true, read_ec, generate_ec, ec_members, raw_from_der, der_from_raw};

// --- RSA ---

/// Do the primes come from a generator of which it is known how to find them (ROCA, CVE-2017-15361)? Such a modulus is
/// a power of 65537 modulo each of the small primes, which of others one in 2^27 is at most.
bool has_roca_fingerprint(const BIGNUM *modulus) {
    constexpr std::array<BN_ULONG, 38> primes{3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                              47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                              107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
    return std::all_of(primes.begin(), primes.end(), [&](BN_ULONG prime) {
        const BN_ULONG rest = BN_mod_word(modulus, prime);
        BN_ULONG power = 1;
        do {
            if (power == rest) return true;
            power = power * 65537 % prime;
        } while (power != 1);
        return false;
    });
}

void check_rsa(const Algorithm &algorithm, EVP_PKEY *key) {
    if (!EVP_PKEY_is_a(key, "RSA")) refuse("algorithm " + named(algorithm) + " needs an RSA key");
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < min_rsa_bits) refuse("RSA key has " + std::to_string(bits) + " bits, but at least 2048 are needed");
    if (bits > max_rsa_bits) refuse("RSA key has " + std::to_string(bits) + " bits, but at most 8192 are accepted");
    const NumberPtr exponent = number_of(key, OSSL_PKEY_PARAM_RSA_E);
    if (!exponent || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()) || BN_num_bits(exponent.get()) > 64)
        refuse("RSA key has a public exponent that is not accepted");
    const NumberPtr modulus = number_of(key, OSSL_PKEY_PARAM_RSA_N);
    if (!modulus || has_roca_fingerprint(modulus.get()))
        refuse("RSA key is of a generator whose keys can be computed from their public part (CVE-2017-15361)");
}

KeyPtr read_rsa(const Algorithm &, const JwkReader &jwk) {
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

EVP_PKEY *generate_rsa(const Algorithm &) {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(min_rsa_bits));
}

std::string rsa_members(const Algorithm &, EVP_PKEY *key) {
    const NumberPtr e = number_of(key, OSSL_PKEY_PARAM_RSA_E);
    const NumberPtr n = number_of(key, OSSL_PKEY_PARAM_RSA_N);
    if (!e || !n) fail("could not export a public key");
    return "\"e\":\"" + base64url_encode(bytes_of_number(e.get())) + "\",\"kty\":\"RSA\",\"n\":\"" +
           base64url_encode(bytes_of_number(n.get())) + '"';
}

bool set_pss(EVP_PKEY_CTX *context) { // PKCS#1 v1.5 is the default of RSA keys
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

std::string as_it_is(const Algorithm &, const std::string &signature) { return signature; }

std::optional<std::string> of_key_size(const Algorithm &, EVP_PKEY *key, std::string_view signature) {
    if (signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(key))) return std::nullopt;
    return std::string(signature);
}

constexpr Family rsa{"RSA", check_rsa, true, read_rsa, generate_rsa, rsa_members, as_it_is, of_key_size};

// --- Edwards curves ---

void check_ed25519(const Algorithm &algorithm, EVP_PKEY *key) {
    if (!EVP_PKEY_is_a(key, "ED25519")) refuse("algorithm " + named(algorithm) + " needs an Ed25519 key");
}

KeyPtr read_ed25519(const Algorithm &algorithm, const JwkReader &jwk) {
    if (jwk.text("crv") != "Ed25519") refuse("algorithm " + named(algorithm) + " needs a key on curve Ed25519");
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

EVP_PKEY *generate_ed25519(const Algorithm &) { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }

std::string ed25519_members(const Algorithm &, EVP_PKEY *key) {
    std::string x(32, '\0');
    std::size_t size = x.size();
    if (EVP_PKEY_get_raw_public_key(key, bytes_of(x), &size) != 1) fail("could not export a public key");
    return "\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" + base64url_encode(x) + '"';
}

std::optional<std::string> of_ed25519_size(const Algorithm &, EVP_PKEY *, std::string_view signature) {
    if (signature.size() != ed25519_signature_bytes) return std::nullopt;
    return std::string(signature);
}

// Every 32 bytes are a key.
constexpr Family edwards{"OKP",           check_ed25519, false,          read_ed25519, generate_ed25519,
                         ed25519_members, as_it_is,      of_ed25519_size};

// --- The table ---

constexpr Curve no_curve{};
constexpr Curve p256{"P-256", "prime256v1", 32}, p384{"P-384", "secp384r1", 48}, p521{"P-521", "secp521r1", 66};

constexpr Algorithm with_secret(JwtAlgorithm id, std::string_view name, HashFunction hash, std::size_t secret_bytes) {
    return {id, name, nullptr, hash, secret_bytes, nullptr, no_curve, nullptr};
}
constexpr Algorithm with_key_pair(JwtAlgorithm id, std::string_view name, const Family &family,
                                  const EVP_MD *(*digest)(), const Curve &curve = no_curve,
                                  bool (*set_padding)(EVP_PKEY_CTX *) = nullptr) {
    return {id, name, &family, {}, 0, digest, curve, set_padding};
}

// By JwtAlgorithm.
constexpr std::array algorithms{
    with_secret(JwtAlgorithm::hs256, "HS256", HashFunction::sha256, 32),
    with_secret(JwtAlgorithm::hs384, "HS384", HashFunction::sha384, 48),
    with_secret(JwtAlgorithm::hs512, "HS512", HashFunction::sha512, 64),
    with_key_pair(JwtAlgorithm::es256, "ES256", elliptic, EVP_sha256, p256),
    with_key_pair(JwtAlgorithm::es384, "ES384", elliptic, EVP_sha384, p384),
    with_key_pair(JwtAlgorithm::es512, "ES512", elliptic, EVP_sha512, p521),
    with_key_pair(JwtAlgorithm::rs256, "RS256", rsa, EVP_sha256),
    with_key_pair(JwtAlgorithm::ps256, "PS256", rsa, EVP_sha256, no_curve, set_pss),
    with_key_pair(JwtAlgorithm::eddsa, "EdDSA", edwards, nullptr),
};
static_assert(std::ranges::all_of(algorithms, [](const Algorithm &each) {
    return &each - algorithms.data() == static_cast<std::ptrdiff_t>(each.id);
}));

} // namespace

void refuse(std::string message) {
    ERR_clear_error(); // the reason may quote the input; ours is enough
    throw Error("22023", std::move(message));
}

void fail(const char *what) {
    ERR_clear_error();
    throw Error("XX000", what);
}

JwkReader::JwkReader(std::string_view text) {
    if (text.size() > max_key_text) refuse("JWK is longer than 65536 bytes");
    if (!document_.parse(text)) refuse("JWK is not valid JSON: " + document_.error());
    if (!document_.root().is_object()) refuse("JWK must be a JSON object");
}

std::string JwkReader::text(std::string_view name) const {
    const auto value = document_.root().find(name);
    if (!value) return {};
    if (!value->is_string()) refuse("member \"" + std::string(name) + "\" of the JWK must be a string");
    return value->as_string();
}

std::optional<std::vector<std::string>> JwkReader::texts(std::string_view name) const {
    const auto list = document_.root().find(name);
    if (!list) return std::nullopt;
    const std::string what = "member \"" + std::string(name) + "\" of the JWK ";
    if (!list->is_array()) refuse(what + "must be a list of strings");
    std::vector<std::string> texts;
    for (const json::Member each : list->members()) {
        if (!each.value.is_string()) refuse(what + "must be a list of strings");
        texts.push_back(each.value.as_string());
        if (std::find(texts.begin(), texts.end() - 1, texts.back()) != texts.end() - 1)
            refuse(what + "has a value twice");
    }
    return texts;
}

std::string JwkReader::bytes(std::string_view name, std::size_t width) const {
    if (!has(name)) refuse("JWK has no member \"" + std::string(name) + "\"");
    auto decoded = base64url_decode(text(name));
    if (!decoded || decoded->empty()) refuse("member \"" + std::string(name) + "\" of the JWK is not base64url");
    if (width != 0 && decoded->size() != width)
        refuse("member \"" + std::string(name) + "\" of the JWK must have " + std::to_string(width) + " bytes");
    return std::move(*decoded);
}

const Algorithm &entry_of(JwtAlgorithm algorithm) noexcept { return algorithms[static_cast<std::size_t>(algorithm)]; }

bool has_private_part(EVP_PKEY *key) {
    if (EVP_PKEY_is_a(key, "ED25519")) {
        std::size_t size = 0;
        const bool has = EVP_PKEY_get_raw_private_key(key, nullptr, &size) == 1;
        ERR_clear_error();
        return has;
    }
    return number_of(key, EVP_PKEY_is_a(key, "RSA") ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY) != nullptr;
}

} // namespace usher::jwt

namespace usher {

std::string_view to_string(JwtAlgorithm algorithm) noexcept { return jwt::entry_of(algorithm).name; }

std::optional<JwtAlgorithm> parse_jwt_algorithm(std::string_view name) noexcept {
    const auto found = std::ranges::find(jwt::algorithms, name, &jwt::Algorithm::name);
    return found == jwt::algorithms.end() ? std::nullopt : std::optional(found->id);
}

bool is_hmac(JwtAlgorithm algorithm) noexcept { return jwt::entry_of(algorithm).family == nullptr; }

std::vector<JwtAlgorithm> jwt_algorithms(bool with_secrets) {
    std::vector<JwtAlgorithm> found;
    for (const jwt::Algorithm &each : jwt::algorithms)
        if (with_secrets || each.family != nullptr) found.push_back(each.id);
    return found;
}

std::string jwt_algorithm_list(bool with_secrets) {
    const std::vector<JwtAlgorithm> all = jwt_algorithms(with_secrets);
    std::string list;
    for (const JwtAlgorithm &each : all) {
        if (!list.empty()) list += &each == &all.back() ? " or " : ", ";
        list += to_string(each);
    }
    return list;
}

} // namespace usher
