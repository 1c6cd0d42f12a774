// JSON Web Tokens in compact form (RFC 7519, RFC 7515), strict: the key decides the algorithm and the header
// must agree; base64url is canonical; header and payload are JSON objects without duplicate keys; `crit` is
// refused; exp and nbf are numbers. There is no algorithm "none" here to be switched on by mistake.
//
//     auto token = JwtToken::parse(text);              // no key needed yet
//     if (!token.ok()) return token.error();
//     const JwtKey *key = keys.find(token.kid());
//     JwtError error = token.verify(*key, rules);      // JwtError::none: token.payload() may be believed
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.hpp"

namespace usher {

namespace jwt {
class JwkReader;
}

enum class JwtAlgorithm : std::uint8_t { hs256, hs384, hs512, es256, es384, es512, rs256, ps256, eddsa };

/// "HS256" and so on, as in the header (RFC 7518, RFC 8037).
std::string_view to_string(JwtAlgorithm algorithm) noexcept;
/// Nothing for a name that no algorithm has.
std::optional<JwtAlgorithm> parse_jwt_algorithm(std::string_view name) noexcept;
/// Of HMAC the same key signs and verifies: it is a secret.
bool is_hmac(JwtAlgorithm algorithm) noexcept;
/// All of them, or those of key pairs.
std::vector<JwtAlgorithm> jwt_algorithms(bool with_secrets = true);
/// "HS256, HS384 or EdDSA", for messages.
std::string jwt_algorithm_list(bool with_secrets = true);

/// A key bound to one algorithm. Copies share the key. Contexts are kept per key, so one key must not be
/// used by two threads at once (a backend has one).
class JwtKey {
public:
    /// HMAC secret as bytes. Throws Error (22023) when it is shorter than the hash of the algorithm.
    static JwtKey from_secret(JwtAlgorithm algorithm, std::string_view secret);

    /// Private or public key in PEM (PKCS#8, SPKI, and the traditional forms). Throws Error (22023) when it is
    /// unreadable, encrypted, or not of the kind that the algorithm needs (curve, RSA of at least 2048 bits).
    static JwtKey from_pem(JwtAlgorithm algorithm, std::string_view pem);

    /// JWK (RFC 7517) of kty EC, RSA, OKP or oct, public or private. The algorithm is `algorithm` or else the
    /// member `alg`; if both are given they must agree. Where there are `key_ops`, the key does nothing else. Throws
    /// Error (22023).
    static JwtKey from_jwk(std::string_view jwk, std::optional<JwtAlgorithm> algorithm = {});

    static JwtKey generate(JwtAlgorithm algorithm);

    JwtAlgorithm algorithm() const noexcept;
    /// Has it a private part, and do `key_ops` allow it?
    bool can_sign() const noexcept;

    /// Signature over a message in the form that JWS wants (r||s for ECDSA). Throws Error if it cannot sign.
    std::string sign(std::string_view message) const;
    /// Throws Error when `key_ops` do not allow it.
    bool verify(std::string_view message, std::string_view signature) const;

    /// PKCS#8 PEM, or for HMAC the secret in base64url. This is the secret: handle it so.
    std::string export_private() const;
    /// The reverse of export_private().
    static JwtKey import_private(JwtAlgorithm algorithm, std::string_view exported);

    /// Public JWK with kid, alg and use; empty for HMAC keys, which have no public part.
    std::string public_jwk(std::string_view kid) const;

    /// SHA-256 thumbprint (RFC 7638) in base64url; for HMAC keys that of the oct key: do not publish it.
    std::string thumbprint() const;

private:
    struct Impl;
    explicit JwtKey(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
    static JwtKey read_jwk(const jwt::JwkReader &jwk, std::optional<JwtAlgorithm> wanted);
    std::shared_ptr<Impl> impl_;
};

enum class JwtError : std::uint8_t {
    none,
    too_large,          // over JwtToken::max_bytes
    malformed,          // not three parts of canonical base64url, header or payload no strict JSON object
    unsupported_header, // crit or b64
    wrong_algorithm,    // the header's alg is not that of the key (none included)
    wrong_type,         // typ is not the one wanted
    invalid_signature,
    invalid_claims, // exp, nbf, iat, iss, aud or sub of a wrong kind, or a required one is missing
    expired,
    not_yet_valid,
    wrong_issuer,
    wrong_audience,
};

/// Stable result code ("token_expired", "invalid_token" …) that SQL and HTTP callers see; empty for none.
std::string_view result_code(JwtError error) noexcept;
/// What is wrong, for people; no part of the token in it.
std::string_view describe(JwtError error) noexcept;

/// What a token must satisfy beside its signature.
struct JwtRules {
    std::string_view issuer = {};   // empty: not checked
    std::string_view audience = {}; // empty: not checked; else `aud` must be it or an array that contains it
    std::string_view type = {};     // wanted typ, compared without case and without "application/"; empty: not checked
    std::int64_t now_us = 0;        // microseconds since the Unix epoch
    std::int64_t leeway_s = 0;
    bool require_expiry = true;
};

class JwtToken {
public:
    static constexpr std::size_t max_bytes = 16384;

    JwtToken() = default;
    explicit JwtToken(std::string_view token) { parse_into(token); }
    static JwtToken parse(std::string_view text) { return JwtToken(text); }
    JwtToken(const JwtToken &) = delete; // its indexes point into its own strings
    JwtToken &operator=(const JwtToken &) = delete;

    /// Splits, decodes and checks the form; `text` must outlive the token. Uses the memory of *this again.
    JwtError parse_into(std::string_view text);

    bool ok() const noexcept { return error_ == JwtError::none; }
    JwtError error() const noexcept { return error_; }

    /// From the header; not trustworthy before verify().
    std::string_view algorithm_name() const noexcept { return algorithm_; }
    std::string_view kid() const noexcept { return kid_; }
    std::string_view type() const noexcept { return type_; }

    /// Signature first, then type and claims.
    JwtError verify(const JwtKey &key, const JwtRules &rules);

    /// JSON text and index of the payload; believe it only after verify() gave none.
    const std::string &payload() const noexcept { return payload_; }
    json::Value claims() const noexcept { return claims_.root(); }

    /// Claims that every reader asks for, found while the token was read; nothing when the token has none of the name.
    struct Registered {
        std::optional<json::Value> iss, aud, sub, jti, sid, client_id;
    };
    const Registered &registered() const noexcept { return registered_; }

    /// Compares typ without case and without "application/"; not trustworthy before verify().
    bool type_matches(std::string_view wanted) const noexcept;

    /// Is `aud` that string, or an array that contains it?
    bool has_audience(std::string_view audience) const;

    /// exp in microseconds since the Unix epoch; nothing when the token has none.
    std::optional<std::int64_t> expires_us() const noexcept { return expires_us_; }
    std::optional<std::int64_t> not_before_us() const noexcept { return not_before_us_; }

private:
    JwtError read(std::string_view text);
    JwtError read_header();
    JwtError read_claims();
    JwtError check_claims(const JwtRules &rules) const;

    std::string_view signed_part_;
    std::string header_text_; // base64url of the header that algorithm_, kid_ and type_ are of; empty: of none
    std::string header_, payload_, signature_;
    Registered registered_;
    std::string algorithm_, kid_, type_;
    json::Document header_json_, claims_;
    std::optional<std::int64_t> expires_us_, not_before_us_;
    JwtError error_ = JwtError::malformed;
};

/// Only the time rules, for results that are kept in a cache: none, expired or not_yet_valid.
JwtError check_times(std::optional<std::int64_t> expires_us, std::optional<std::int64_t> not_before_us,
                     std::int64_t now_us, std::int64_t leeway_s) noexcept;

/// Compact token of a payload that is a JSON object (22023 otherwise). `kid` empty: no kid in the header.
std::string sign_jwt(std::string_view payload, const JwtKey &key, std::string_view type = "JWT",
                     std::string_view kid = {});

} // namespace usher
