// The rules of an event, parsed, and kept by each backend until somebody changes one.
#pragma once
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/rules/earning.hpp"

namespace usher::loyalty {

struct KeptRule {
    std::string code;
    std::int32_t version = 0;
    EarningRule rule;
    Instant valid_from = 0;
    std::optional<Instant> valid_until;
    std::optional<std::int64_t> max_in_period;
    std::optional<std::string> period, expires_after;
    std::string zone;
    bool asks_the_clock = false; // for the weekday, hour or date
    [[nodiscard]] bool is_valid_at(Instant at) const { return valid_from <= at && (!valid_until || at < *valid_until); }
};

/// All versions, the latest of each code first. Good until the next call.
const std::vector<KeptRule> &rules_of(const Schema &schema, std::string_view event);

} // namespace usher::loyalty
