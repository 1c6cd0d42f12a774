// The signature algorithms of JSON Web Tokens, one entry each, and what the keys of one kind have in common. For
// common/jwt_key.cpp only; everybody else includes common/jwt.hpp.
#pragma once
#include "common/hmac.hpp"
#include "common/jwt.hpp"
#include "common/text.hpp"

#include <openssl/evp.h>

namespace usher::jwt {

template <auto function> struct Freer {
    template <class T> void operator()(T *object) const noexcept { function(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;

inline constexpr std::size_t max_key_text = 65536;

/// Throws 22023, a fault of whoever gave the key.
[[noreturn]] void refuse(std::string message);
/// Throws XX000.
[[noreturn]] void fail(const char *what);

/// Reads the members of a JWK.
class JwkReader {
public:
    explicit JwkReader(std::string_view text);

    /// Empty when there is none.
    std::string text(std::string_view name) const;
    bool has(std::string_view name) const { return document_.root().find(name).has_value(); }
    /// The strings of a member that is a list without duplicates; nothing when there is no such member.
    std::optional<std::vector<std::string>> texts(std::string_view name) const;
    /// Decoded bytes of a required member; `width` 0: any.
    std::string bytes(std::string_view name, std::size_t width = 0) const;

private:
    json::Document document_;
};

struct Curve {
    const char *jwk;     // name in a JWK
    const char *openssl; // group name
    std::size_t bytes;   // of a coordinate
};

struct Algorithm;

/// What the algorithms of one kind of key pair have in common. Each function gets the algorithm that it is asked for.
struct Family {
    const char *kty; // of a JWK
    /// Throws unless the key is of the kind, curve and size that the algorithm needs.
    void (*check)(const Algorithm &, EVP_PKEY *);
    bool may_be_invalid; // not every key of that size is one
    KeyPtr (*read)(const Algorithm &, const JwkReader &);
    EVP_PKEY *(*generate)(const Algorithm &);
    /// The members that RFC 7638 section 3.2 (and RFC 8037 section 2) hash, in their order.
    std::string (*members)(const Algorithm &, EVP_PKEY *);
    /// Between OpenSSL's form of a signature and that of JWS; from_jws gives nothing for a wrong size.
    std::string (*to_jws)(const Algorithm &, const std::string &signature);
    std::optional<std::string> (*from_jws)(const Algorithm &, EVP_PKEY *, std::string_view signature);
};

/// An algorithm is one entry of the table `algorithms`, and a family where there is none for its keys yet.
struct Algorithm {
    JwtAlgorithm id;
    std::string_view name;               // in the header
    const Family *family;                // nullptr: HMAC, whose key is a secret
    HashFunction hmac;                   // when it is
    std::size_t secret_bytes;            // that a secret must have at least
    const EVP_MD *(*digest)();           // of key pairs; nullptr: the algorithm hashes by itself
    Curve curve;                         // of elliptic curves
    bool (*set_padding)(EVP_PKEY_CTX *); // after DigestSignInit or DigestVerifyInit; nullptr: nothing is to be set
};
const Algorithm &entry_of(JwtAlgorithm algorithm) noexcept;

/// Can the key sign?
bool has_private_part(EVP_PKEY *key);

inline std::string named(const Algorithm &algorithm) { return std::string(algorithm.name); }

} // namespace usher::jwt
