#include "usher/access/policy_csv.hpp"
#include "common/error.hpp"
#include "common/json_object.hpp"
#include "common/text.hpp"
#include "usher/access/policy.hpp"
#include <algorithm>
#include <cstdint>

namespace usher::policy {

namespace {

[[noreturn]] void refuse(std::size_t line, const std::string &what) {
    throw Error(errc::invalid_argument, "policy rules: line " + std::to_string(line) + ": " + what,
                json::Object().add("line", static_cast<std::int64_t>(line)).text());
}

/// Takes the next value with the comma behind it from the line.
std::string take_value(std::string_view &rest, std::size_t line) {
    rest = rest.substr(std::min(rest.find_first_not_of(" \t"), rest.size()));
    std::string value;
    if (!rest.starts_with('"')) {
        const std::size_t end = std::min(rest.find(','), rest.size());
        value = trim(rest.substr(0, end));
        rest.remove_prefix(end);
        return value;
    }
    for (rest.remove_prefix(1);; rest.remove_prefix(1)) {
        if (rest.empty()) refuse(line, "a quoted value does not end");
        if (rest.front() == '"') {
            rest.remove_prefix(1);
            if (!rest.starts_with('"')) break; // two stand for one
        }
        value += rest.front();
    }
    const std::size_t end = std::min(rest.find(','), rest.size());
    if (!trim(rest.substr(0, end)).empty()) refuse(line, "there is text after a quoted value");
    rest.remove_prefix(end);
    return value;
}

int open_parentheses(std::string_view text) {
    int open = 0;
    for (const char c : text) open += c == '(' ? 1 : c == ')' ? -1 : 0;
    return open;
}

std::vector<std::string> read_rule(std::string_view rest, std::size_t line) {
    std::vector<std::string> values;
    int open = 0; // parentheses of a value that has a comma in it
    for (;;) {
        std::string value = take_value(rest, line);
        const bool goes_on = open != 0;
        open += open_parentheses(value);
        if (goes_on)
            values.back() += "," + value;
        else
            values.push_back(std::move(value));
        if (rest.empty()) break;
        rest.remove_prefix(1); // the comma
    }
    if (open != 0) refuse(line, "parentheses do not match");
    const std::string &ptype = values.front();
    if (ptype.empty() || ptype.size() > 3 || (ptype[0] != 'p' && ptype[0] != 'g') ||
        ptype.find_first_not_of("0123456789", 1) != std::string::npos)
        refuse(line, "it must begin with p or g, or one of them with a number");
    if (values.size() < 2 || values.size() > 1 + max_columns) refuse(line, "there must be one to six values");
    for (const std::string &value : values)
        if (value.size() > max_value) refuse(line, "a value is longer than 256 bytes");
    return values;
}

} // namespace

std::vector<CsvRule> parse_policy_csv(std::string_view text) {
    std::vector<CsvRule> rules;
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view rule = trim(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!rule.empty() && rule.front() != '#') rules.push_back({line, read_rule(rule, line)});
    }
    return rules;
}

} // namespace usher::policy
