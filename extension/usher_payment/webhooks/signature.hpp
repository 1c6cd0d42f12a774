// Is a webhook from the processor? Signed with HMAC-SHA256 in one of three schemes:
//
//     stripe    Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]    of "<t>.<body>", the secret as it is
//     standard  webhook-id, webhook-timestamp, webhook-signature: v1,<base64> [v1,<base64>]    of "<id>.<t>.<body>",
//     the
//               secret "whsec_" and base64 (standardwebhooks.com)
//     hmac      a header of the processor's own: hexadecimal or base64, with "sha256=" in front or not, of the body
#pragma once
#include "common/types.hpp"
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

/// True only for a valid signature of recent time. Signatures are compared in constant time.
bool verify(const Verifier &verifier, const Headers &headers, std::string_view body, Instant now);

} // namespace usher::payment
