#pragma once
#include "usher_loyalty/loyalty_kit.hpp"

namespace usher::loyalty {

/// Gives a customer, whose account is locked, the tier that they have earned by now. Publishes loyalty.tier_changed.
void review_tier(const Schema &schema, const Uuid &customer);

} // namespace usher::loyalty
