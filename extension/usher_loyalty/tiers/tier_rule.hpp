// Which tier a customer has, by those that they qualify for.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <vector>

namespace usher::loyalty {

struct Tier {
    int rank = 0;
    bool qualifies = false;
    Instant grace_ends = 0; // were it to begin now
};

struct TierState {
    int rank = 0; // 0: none
    std::optional<Instant> lapses_at;
    friend bool operator==(const TierState &, const TierState &) = default;
};

/// Up at once; down when the grace of the tier that is held has passed. A tier that no longer exists is lost at once.
TierState next_tier(const std::vector<Tier> &tiers, const TierState &held, Instant now);

} // namespace usher::loyalty
