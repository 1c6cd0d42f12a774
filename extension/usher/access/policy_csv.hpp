// Policy rules as the text of a Casbin policy file: one rule per line, "p, alice, data1, read".
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace usher::policy {

struct CsvRule {
    std::size_t line;                // from 1
    std::vector<std::string> values; // ptype, v0, v1 …
};

/// Reads the rules as npm casbin does: values are trimmed, "quoted" ones may hold commas, so may those in
/// (parentheses), empty lines and those that begin with # are skipped. Throws 22023 naming the line when a rule is
/// malformed.
std::vector<CsvRule> parse_policy_csv(std::string_view text);

} // namespace usher::policy
