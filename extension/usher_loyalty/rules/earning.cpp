#include "usher_loyalty/rules/earning.hpp"
#include "common/error.hpp"
#include "common/money.hpp"
#include <algorithm>
#include <cmath>

namespace usher::loyalty {

using expression::Value;

namespace {
double number_of(const Value &value) {
    if (value.kind == Value::Kind::null) return 0;
    if (value.kind != Value::Kind::number || !std::isfinite(value.number))
        throw Error(errc::invalid_argument, "expression: points must be a finite number");
    return value.number;
}
} // namespace

EarningRule parse_rule(std::string_view condition, std::string_view points, bool counts_lines,
                       std::optional<std::int64_t> max_points) {
    return {parse_expression(condition, "condition", counts_lines), parse_expression(points, "points", counts_lines),
            counts_lines, max_points};
}

std::int64_t points_for(const EarningRule &rule, const Value &purchase, const Poll &poll) {
    static const Value *const nothing = new Value; // never destroyed: a backend that exits must not run destructors
    double sum = 0;
    const auto add = [&](const Value &line) {
        if (holds(rule.condition, purchase, line, poll)) sum += number_of(evaluate(rule.points, purchase, line, poll));
    };
    if (!rule.counts_lines)
        add(*nothing);
    else
        for (const Value &line : purchase.member("lines").items) add(line);
    if (!(sum >= 1)) return 0;
    const double most = static_cast<double>(rule.max_points.value_or(most_points));
    return static_cast<std::int64_t>(std::floor(std::min({sum, most, static_cast<double>(most_points)})));
}

std::int64_t kept_points(std::int64_t earned, std::int64_t amount_minor, std::int64_t deducted_minor) {
    if (deducted_minor >= amount_minor) return 0;
    return std::min(earned, money::share(earned, amount_minor - deducted_minor, amount_minor).value_or(0));
}

} // namespace usher::loyalty
