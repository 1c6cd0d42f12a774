// What is known of a customer: for conditions of segments, rewards and offers.
#pragma once
#include "common/expression.hpp"
#include "usher_loyalty/loyalty_kit.hpp"

namespace usher::loyalty {

struct Customer {
    std::optional<std::string> tier;
    bool is_new = true;      // no purchase is known
    expression::Value facts; // tier, balance, purchases, spent_minor, days_since_first, days_since_last, attributes
};

Customer read_customer(const Schema &schema, const Uuid &customer, Instant at);

} // namespace usher::loyalty
