#include "usher_shop/orders/discount_shares.hpp"
#include <algorithm>
#include <numeric>

namespace usher::shop {

std::vector<std::int64_t> discount_shares(std::int64_t discount, const std::vector<std::int64_t> &costs) {
    __extension__ using Wide = __int128;
    std::vector<std::int64_t> shares(costs.size(), 0);
    const Wide all = std::accumulate(costs.begin(), costs.end(), Wide{0});
    const Wide wanted = std::min<Wide>(discount, all);
    if (wanted <= 0) return shares;
    Wide left = wanted;
    for (std::size_t i = 0; i < costs.size(); ++i) {
        shares[i] = static_cast<std::int64_t>(wanted * costs[i] / all);
        left -= shares[i];
    }
    std::vector<std::size_t> order(costs.size());
    std::iota(order.rbegin(), order.rend(), std::size_t{0}); // the last first
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t one, std::size_t other) { return costs[one] > costs[other]; });
    for (const std::size_t i : order) {
        const Wide more = std::min<Wide>(left, costs[i] - shares[i]);
        shares[i] += static_cast<std::int64_t>(more);
        left -= more;
    }
    return shares;
}

} // namespace usher::shop
