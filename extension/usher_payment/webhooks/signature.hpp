// Is a webhook from the processor? Signed with HMAC-SHA256 in one of three schemes:
//
//     stripe    Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]    of "<t>.<body>", the secret as it is
//     standard  webhook-id, webhook-timestamp, webhook-signature: v1,<base64> [v1,<base64>]    of "<id>.<t>.<body>",
//     the
//               secret "whsec_" and base64 (standardwebhooks.com)
//     hmac      a header of the processor's own: hexadecimal or base64, with "sha256=" in front or not, of the body
#pragma once
#include "common/digest.hpp"
#include "common/types.hpp"
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace usher::payment {

enum class Scheme : std::uint8_t { stripe, standard, hmac };
std::optional<Scheme> parse_scheme(std::string_view text) noexcept;

/// A header by its lower-case name; empty when it is not there.
using Headers = std::function<std::string(std::string_view)>;

struct Verifier {
    Scheme scheme;
    std::string_view secret;
    std::string_view header;        // for hmac: lower case
    std::int64_t tolerance_seconds; // how far the signed time may be from ours, for those that sign one
};

/// Why a secret cannot be used in its scheme; empty when it can.
std::string_view secret_problem(Scheme scheme, std::string_view secret) noexcept;

/// What a request says about its signature: its headers are read once, however many secrets are tried.
class Signed {
public:
    /// Headers and body must outlive it.
    Signed(const Headers &headers, std::string_view body) : headers_(headers), body_(body) {}
    /// True only for a valid signature of recent time. Signatures are compared in constant time.
    bool by(const Verifier &verifier, Instant now);

private:
    static constexpr std::size_t most_signatures = 16; // of one header; more are not looked at
    /// A time and signatures, as they stand in the headers of a scheme.
    struct Statement {
        std::string header, id, time; // id only where the scheme has one
        std::string_view signed_at;
        std::optional<std::int64_t> seconds;
        std::array<Sha256, most_signatures> candidates;
        std::size_t count = 0;

        void add(const std::optional<std::string> &bytes) noexcept;
        [[nodiscard]] bool has(const Sha256 &mac) const noexcept;
        [[nodiscard]] bool is_recent(Instant now, std::int64_t tolerance) const noexcept;
    };
    const Statement &stripe();
    const Statement &standard();
    bool by_stripe(const Verifier &verifier, Instant now);
    bool by_standard(const Verifier &verifier, Instant now);
    bool by_hmac(const Verifier &verifier);

    const Headers &headers_;
    std::string_view body_;
    std::optional<Statement> stripe_, standard_;
};
inline bool verify(const Verifier &verifier, const Headers &headers, std::string_view body, Instant now) {
    return Signed(headers, body).by(verifier, now);
}

} // namespace usher::payment
