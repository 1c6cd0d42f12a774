#include "usher_loyalty/tiers/tier_rule.hpp"

namespace usher::loyalty {

TierState next_tier(const std::vector<Tier> &tiers, const TierState &held, Instant now) {
    int best = 0;
    const Tier *current = nullptr;
    for (const Tier &each : tiers) {
        if (each.qualifies && each.rank > best) best = each.rank;
        if (each.rank == held.rank) current = &each;
    }
    if (best >= held.rank || current == nullptr) return {best, std::nullopt};
    const Instant lapses_at = held.lapses_at.value_or(current->grace_ends);
    if (now >= lapses_at) return {best, std::nullopt};
    return {held.rank, lapses_at};
}

} // namespace usher::loyalty
