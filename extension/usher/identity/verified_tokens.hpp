// A bounded memory of tokens that were verified, so that a token seen again costs a hash instead of a signature. The
// tokens themselves are not kept: a keyed hash of 128 bits stands for each, and nobody outside the process can make one
// meet another. It remembers that signature and claims were good, never that a token is still valid: times are checked
// at every use.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/siphash.hpp"
#include "common/types.hpp"

namespace usher {

struct VerifiedToken {
    std::string claims; // JSON text
    std::string jti;
    std::string parsed;            // claims in the server's binary form, once somebody has asked for it
    std::string provider, subject; // of a token from outside: who it is about is looked up at every use
    Uuid user_id{};                // of one of our own
    std::optional<Uuid> session_id;
    std::optional<Uuid> client_id; // the API key that client_credentials was asked with
    std::optional<std::int64_t> expires_us, not_before_us;
};

/// Set-associative: a token has four places, of which the one longest unused is taken. No allocation once warm.
class VerifiedTokens {
public:
    /// Tokens with longer claims are not worth remembering: they would make the bound a high one.
    static constexpr std::size_t max_claims = 2048;
    static constexpr std::size_t sets = 512, ways = 4;

    SipHash hash(std::string_view token) const noexcept { return siphash128(key_, token); }

    /// nullptr when unknown. The token stays where it is until the next insert() or clear().
    VerifiedToken *find(const SipHash &hash) noexcept;

    /// A place for the token, fields to be filled by the caller.
    VerifiedToken &insert(const SipHash &hash);

    /// Keys, issuer or audience have changed: everything is to be verified anew.
    void clear() noexcept;

private:
    struct Place {
        SipHash hash;
        std::uint64_t used = 0; // 0: empty
        VerifiedToken token;
    };
    Place *set_of(const SipHash &hash) noexcept;
    SipKey key_ = SipKey::random();
    std::vector<Place> places_;
    std::uint64_t clock_ = 0;
};

} // namespace usher
