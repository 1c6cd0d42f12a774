// How many points a purchase earns by a rule, and how many of them are kept when some of it was returned, or was not
// paid with money.
#pragma once
#include "usher_loyalty/rules/rule_expression.hpp"
#include <optional>

namespace usher::loyalty {

/// The most points of one entry.
inline constexpr std::int64_t most_points = 1'000'000'000'000;

struct EarningRule {
    expression::Node condition, points;
    bool counts_lines = false;
    std::optional<std::int64_t> max_points;
};

/// Throws 22023 for expressions that are wrong.
EarningRule parse_rule(std::string_view condition, std::string_view points, bool counts_lines,
                       std::optional<std::int64_t> max_points);

/// Whole points: what is less than one is not earned. `purchase` is an object; its lines are the list `lines`. Throws
/// 22023 where the expressions do not fit the purchase.
std::int64_t points_for(const EarningRule &rule, const expression::Value &purchase, const Poll &poll);

/// What is kept of points, in proportion to what is left of the amount, rounded half up: nothing when nothing is left.
std::int64_t kept_points(std::int64_t earned, std::int64_t amount_minor, std::int64_t deducted_minor);

} // namespace usher::loyalty
