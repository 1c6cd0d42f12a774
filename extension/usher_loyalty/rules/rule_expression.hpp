// The expressions of loyalty: `r` is what is judged (a purchase, a customer), `p` one line of it. A member that is not
// there is null.
#pragma once
#include "common/expression.hpp"
#include "common/poll.hpp"
#include <cstdint>
#include <string_view>

namespace usher::loyalty {

/// Parses and checks: throws 22023 with the name of what is wrong for a syntax, a name or a function that is not known.
/// `what`: which expression it is, for the message.
expression::Node parse_expression(std::string_view text, const char *what, bool has_lines);

/// Throws 22023 where types do not fit.
expression::Value evaluate(const expression::Node &node, const expression::Value &whole, const expression::Value &line,
                           const Poll &poll);

/// What must be true; null is false.
bool holds(const expression::Node &node, const expression::Value &whole, const expression::Value &line,
           const Poll &poll);

} // namespace usher::loyalty
