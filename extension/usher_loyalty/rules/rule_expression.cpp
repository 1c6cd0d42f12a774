#include "usher_loyalty/rules/rule_expression.hpp"
#include "common/error.hpp"
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace usher::loyalty {

using expression::Node;
using expression::Value;

namespace {

struct Function {
    std::string_view name;
    std::size_t least, most; // arguments
    double (*compute)(const std::vector<Value> &);
};

double first(const std::vector<Value> &values) { return values.front().number; }

constexpr std::array functions{
    Function{"floor", 1, 1, [](const std::vector<Value> &v) { return std::floor(first(v)); }},
    Function{"ceil", 1, 1, [](const std::vector<Value> &v) { return std::ceil(first(v)); }},
    Function{"round", 1, 1, [](const std::vector<Value> &v) { return std::floor(first(v) + 0.5); }},
    Function{"abs", 1, 1, [](const std::vector<Value> &v) { return std::fabs(first(v)); }},
    Function{"min", 1, 10,
             [](const std::vector<Value> &v) {
                 double least = first(v);
                 for (const Value &each : v) least = std::min(least, each.number);
                 return least;
             }},
    Function{"max", 1, 10,
             [](const std::vector<Value> &v) {
                 double most = first(v);
                 for (const Value &each : v) most = std::max(most, each.number);
                 return most;
             }},
};

const Function *find_function(std::string_view name) {
    const auto *const found =
        std::find_if(functions.begin(), functions.end(), [&](const Function &each) { return each.name == name; });
    return found == functions.end() ? nullptr : found;
}

[[noreturn]] void refuse(const char *what, const std::string &why) {
    throw Error(errc::invalid_argument, std::string(what) + ": " + why, "{\"argument\":\"" + std::string(what) + "\"}");
}

void check(const Node &node, const char *what, bool has_lines) {
    if (node.kind == Node::Kind::path && node.path[0] != "r" && !(has_lines && node.path[0] == "p"))
        refuse(what, "name \"" + node.path[0] + "." + node.path[1] + "\" is not known");
    if (node.kind == Node::Kind::call) {
        const Function *const function = find_function(node.name);
        if (function == nullptr) refuse(what, "function \"" + node.name + "\" is not known");
        if (node.children.size() < function->least || node.children.size() > function->most)
            refuse(what, "function \"" + node.name + "\" does not take so many arguments");
    }
    for (const Node &child : node.children) check(child, what, has_lines);
}

class RuleContext : public expression::Context {
public:
    RuleContext(const Value &whole, const Value &line, const Poll &poll_now)
        : whole_(whole), line_(line), poll_(poll_now) {}
    const Value &variable(std::string_view owner, std::string_view name) override {
        return (owner == "p" ? line_ : whole_).member(name);
    }
    Value call(const Node &node, std::vector<Value> arguments) override {
        for (const Value &each : arguments) {
            if (each.kind == Value::Kind::null) return {};
            if (each.kind != Value::Kind::number)
                throw Error(errc::invalid_argument, "expression: function \"" + node.name + "\" needs numbers");
        }
        return Value::of(find_function(node.name)->compute(arguments));
    }
    void poll() override { poll_(); }

private:
    const Value &whole_, &line_;
    const Poll &poll_;
};

} // namespace

Node parse_expression(std::string_view text, const char *what, bool has_lines) {
    Node node;
    try {
        node = expression::parse(text);
    } catch (const Error &error) {
        refuse(what, error.what());
    }
    check(node, what, has_lines);
    return node;
}

Value evaluate(const Node &node, const Value &whole, const Value &line, const Poll &poll) {
    RuleContext context(whole, line, poll);
    return expression::evaluate(node, context);
}

bool holds(const Node &node, const Value &whole, const Value &line, const Poll &poll) {
    const Value value = evaluate(node, whole, line, poll);
    if (value.kind != Value::Kind::boolean && value.kind != Value::Kind::null)
        throw Error(errc::invalid_argument, "expression: a condition must be true or false");
    return value.is_true();
}

} // namespace usher::loyalty
