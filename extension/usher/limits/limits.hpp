// Rate limits: how often something may happen, by policy and key.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string>
#include <string_view>

namespace usher::limits {

struct Outcome {
    bool allowed = true;
    std::int64_t remaining = 0;     // hits that would be allowed now
    std::int64_t retry_after_s = 0; // at least 1 when refused
    Instant reset_at = 0;           // when all hits are allowed again, if there are none until then
    std::int64_t max_hits = 0;      // of the policy
    std::int64_t period_s = 0;      // of the policy, at least 1
};

/// Counts a hit of a key under a policy, if it is allowed. With the library preloaded the hit stays whatever becomes of
/// the transaction; without, it holds the row of the key until the end of the transaction. `tier`: by default that of
/// the identity. Throws 55000 for an unknown policy, 22023 for a cost below 1 or above max_hits.
Outcome hit(std::string_view policy, std::string_view key, std::int64_t cost = 1,
            std::optional<std::string_view> tier = std::nullopt);

/// The key of an address: itself for IPv4, its /64 for IPv6, where one customer has 2^64 of them. Empty gives
/// "unknown".
std::string address_key(std::string_view address);

} // namespace usher::limits
