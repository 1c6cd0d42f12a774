// How a discount of a whole order is shared out among its lines. Whole minor units, the same for the same lines.
#pragma once
#include <cstdint>
#include <vector>

namespace usher::shop {

/// In proportion to what each line costs, rounded down; what is left over goes to the line that costs most, of equal
/// ones the last, and on to the next when that costs no more. The shares add up to the discount, or to what all lines
/// cost if that is less; no line gets more than it costs.
std::vector<std::int64_t> discount_shares(std::int64_t discount, const std::vector<std::int64_t> &costs);

} // namespace usher::shop
