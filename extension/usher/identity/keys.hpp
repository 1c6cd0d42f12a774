// The signing keys of usher.signing_keys, kept per backend until the table changes (usher.signing_keys_inval).
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/jwt.hpp"
#include "common/types.hpp"

namespace usher::identity {

/// A row of usher.signing_keys. Its key material is read when it is first needed: to verify, the public part is enough,
/// so a standby without the master key's file verifies what the primary signs.
class SigningKey {
public:
    std::string kid;
    JwtAlgorithm algorithm{};
    Instant activates_at = 0;
    Instant retires_at = std::numeric_limits<Instant>::max();
    std::string public_jwk; // empty for HMAC keys

    /// Throws US101 when the secret is sealed and cannot be opened, 55000 when the key is damaged.
    const JwtKey &for_signing() const;
    /// The same for HMAC keys; 55000 when the public key is damaged.
    const JwtKey &for_verifying() const;

    /// `private_key` as it stands in the table.
    void set_stored(std::string private_key) { stored_ = std::move(private_key); }

private:
    std::string stored_;
    mutable std::optional<JwtKey> signing_, verifying_;
};

/// What the secret of a key is sealed for (usher/identity/master_key.hpp).
std::string sealing_context(std::string_view kid);

/// The longest life of a token, and how much longer than that a replaced key still verifies.
inline constexpr std::int64_t max_token_ttl_s = 86400;
inline constexpr std::int64_t key_overlap_s = max_token_ttl_s + 3600;

/// All keys; the reference is good until the next call of a function of this file.
const std::vector<SigningKey> &signing_keys();
/// Changes whenever signing_keys() was read anew.
std::uint64_t signing_keys_generation();

/// The key for a token with that kid; nullptr when it is unknown or has retired.
const SigningKey *find_signing_key(std::string_view kid, Instant now);

/// The youngest active key. Makes the first one (ES256) when there is none, which writes.
const SigningKey &current_signing_key();

/// Makes a key that signs from `activates_at` on (0: now) and lets the others retire key_overlap_s later. Returns its
/// kid. `algorithm` absent: that of the current key.
std::string rotate_signing_key(std::optional<JwtAlgorithm> algorithm, Instant activates_at);

} // namespace usher::identity
