// The policies of rate limits, kept per backend, and the tier of whoever asks.
#pragma once
#include "usher/limits/ratelimit.hpp"
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::limits {

struct NamedPolicy {
    std::string name;
    std::string algorithm;
    bool has_algorithm;     // there is one of that name
    ratelimit::Policy rule; // max_hits is that of everybody without a tier of their own
    std::vector<std::pair<std::string, std::int64_t>> tiers;

    /// The rule for a tier.
    [[nodiscard]] ratelimit::Policy rule_for(std::string_view tier) const;
};

/// Throws 55000 for an unknown policy, and for one of an unknown algorithm.
const NamedPolicy &find_policy(std::string_view name);

/// Tier of the identity of this transaction; empty without one. Read once per transaction.
std::string_view current_tier();

} // namespace usher::limits
