#include "usher_loyalty/points/lots.hpp"
#include <algorithm>

namespace usher::loyalty {

std::int64_t lot_of(std::int64_t points, std::int64_t balance_after) { return std::min(points, balance_after); }

std::optional<Posting> take(std::int64_t points, const std::vector<Lot> &lots, bool may_owe) {
    Posting out;
    std::int64_t missing = points;
    for (const Lot &each : lots) {
        if (missing == 0) break;
        const std::int64_t part = std::min(each.left, missing);
        if (part <= 0) continue;
        out.lots.push_back({each.id, -part});
        missing -= part;
    }
    if (missing > 0 && !may_owe) return std::nullopt;
    out.balance = missing - points;
    out.debt = missing;
    return out;
}

std::optional<Posting> give_back(std::int64_t points, std::int64_t debt, const std::vector<Lot> &taken) {
    std::int64_t most = 0;
    for (const Lot &each : taken) most += each.left;
    if (points > most) return std::nullopt;
    const std::int64_t paid = std::min(points, debt);
    Posting out{{}, points - paid, -paid};
    std::int64_t rest = out.balance;
    for (auto each = taken.rbegin(); each != taken.rend() && rest > 0; ++each) {
        const std::int64_t part = std::min(each->left, rest);
        if (part <= 0) continue;
        out.lots.push_back({each->id, part});
        rest -= part;
    }
    return out;
}

} // namespace usher::loyalty
