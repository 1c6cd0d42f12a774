// What the reading of policy files, models and patterns must hold for every input.
#pragma once
#include "targets.hpp"
#include "usher/access/policy.hpp"
#include "usher/access/policy_csv.hpp"
#include "usher/access/policy_match.hpp"

namespace usher::fuzz {

/// A rule as a line, every value in quotes.
inline std::string quoted_line(const std::vector<std::string> &values) {
    std::string line;
    for (const std::string &value : values) {
        line += line.empty() ? "\"" : ",\"";
        for (const char c : value) line += c == '"' ? "\"\"" : std::string(1, c);
        line += '"';
    }
    return line + "\n";
}

inline void policy_csv_target(std::string_view input) {
    try {
        std::string again;
        const std::vector<policy::CsvRule> rules = policy::parse_policy_csv(input);
        std::size_t line = 0;
        for (const policy::CsvRule &rule : rules) {
            must(rule.line > line);
            line = rule.line;
            must(rule.values.size() >= 2 && rule.values.size() <= 1 + policy::max_columns);
            must(rule.values.front().front() == 'p' || rule.values.front().front() == 'g');
            for (const std::string &value : rule.values)
                must(value.size() <= policy::max_value && (is_valid_utf8(value) || !is_valid_utf8(input)));
            again += quoted_line(rule.values);
        }
        // Written down and read again they are the same rules.
        const std::vector<policy::CsvRule> read = policy::parse_policy_csv(again);
        must(read.size() == rules.size());
        for (std::size_t i = 0; i < rules.size(); ++i) must(read[i].values == rules[i].values);
    } catch (const Error &error) {
        must(error.sqlstate() == std::string_view("22023") && !std::string_view(error.detail()).empty());
    }
}

/// A few rows that every request is compared with.
struct FewRows : policy::Store {
    std::vector<policy::Columns> rows(std::string_view, const std::vector<policy::Constraint> &) override {
        return {{"alice", "data1", "read", "allow", "", ""}, {"/a/*", "10.0.0.0/8", "r.sub.age > 18", "deny", "2", ""}};
    }
    bool has_rows(std::string_view ptype) override { return ptype == "p"; }
    std::vector<std::string> groups(std::string_view, const std::string &member,
                                    const std::optional<std::vector<std::string>> &) override {
        return {member, "alice"};
    }
    std::vector<std::string> domains(std::string_view) override { return {"*", "north"}; }
    bool regex_match(std::string_view text, const std::string &pattern) override { return text == pattern; }
};

inline void policy_model_target(std::string_view input) {
    try {
        policy::check_model(input);
        const policy::Model model = policy::parse_model(input);
        must(!model.request.empty() && !model.policy.empty() && model.policy.size() <= policy::max_columns);
        FewRows rows;
        static_cast<void>(policy::enforce(model, std::vector<std::string>(model.request.size(), "alice"), rows));
        static_cast<void>(
            policy::enforce(model, std::vector<std::string>(model.request.size(), R"({"age":19,"x":[1]})"), rows));
    } catch (const Error &error) {
        must(!std::string_view(error.what()).empty());
    }
}

inline void policy_target(std::string_view input) {
    policy_csv_target(input);
    policy_model_target(input);
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string_view text = input.substr(0, end), pattern = input.substr(std::min(end + 1, input.size()));
    static_cast<void>(policy::glob_match(text, pattern));
    static_cast<void>(policy::ip_match(text, pattern));
}

} // namespace usher::fuzz
