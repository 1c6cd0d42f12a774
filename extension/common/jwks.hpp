// The JSON Web Key Set (RFC 7517 section 5) of somebody else, whose tokens we verify. Public keys only: a symmetric key
// would let everybody who knows the set make tokens, and a private one has no business here.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/jwt.hpp"

namespace usher {

class KeySet {
public:
    static constexpr std::size_t max_bytes = 262144, max_keys = 100;

    KeySet() = default;

    /// Keeps the keys that verify signatures of one of the algorithms; others, of unknown types, for encryption,
    /// damaged or too weak, are passed over, as the RFC wants (section 5). An RSA key without `alg` is kept for each
    /// RSA algorithm. Throws Error (22023) for what is no key set, a symmetric or private key, two of the same name, or
    /// when none is left.
    static KeySet parse(std::string_view document, std::span<const JwtAlgorithm> algorithms);

    struct Choice {
        const JwtKey *key = nullptr;
        const char *error = nullptr; // result code
    };
    /// The key with that kid and algorithm. A token without kid gets a key only if there is just one for its algorithm.
    /// unknown_key: no such kid, or it is not clear which; wrong_algorithm: the key with that kid is for another one.
    Choice choose(std::string_view kid, std::string_view algorithm) const noexcept;

    std::size_t size() const noexcept { return keys_.size(); }

private:
    struct Named {
        std::string kid;
        JwtKey key;
    };
    std::vector<Named> keys_;
};

} // namespace usher
