// The expressions of policy matchers and of rules of extensions: comparison, logic, arithmetic, `in`, attribute access
// and function calls, in the syntax that Casbin models use. Parsed once into a tree, evaluated against many rows.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace usher::expression {

/// A value at run time: a request's part, a policy column, an attribute of a JSON object, or a result.
struct Value {
    enum class Kind : unsigned char { null, boolean, number, string, list, object };
    Kind kind = Kind::null;
    bool boolean = false;
    double number = 0;
    std::string string;
    std::vector<Value> items;      // of a list, or the values of an object
    std::vector<std::string> keys; // of an object, one per item

    static Value of(bool value);
    static Value of(double value);
    static Value of(std::string value);
    [[nodiscard]] bool is_true() const noexcept { return kind == Kind::boolean && boolean; }
    /// The member of an object; null when there is none or this is no object.
    [[nodiscard]] const Value &member(std::string_view key) const;
};

/// Reads a JSON text into a Value; nullopt when it is not JSON.
std::optional<Value> from_json(std::string_view text);

struct Node {
    enum class Kind : unsigned char { literal, path, call, list, negate, minus, all_of, any_of, binary };
    enum class Operator : unsigned char {
        none,
        equal,
        not_equal,
        less,
        less_equal,
        greater,
        greater_equal,
        in,
        plus,
        minus,
        times,
        divide,
        modulo
    };
    Kind kind = Kind::literal;
    Operator op = Operator::none;
    int height = 1; // of the tree below: parse() bounds it, so whoever walks a tree needs no check of the stack
    Value literal;
    std::string name;              // function of a call
    std::vector<std::string> path; // r.sub.age as {"r", "sub", "age"}; r_sub is r.sub
    std::vector<Node> children;
};

/// Parses an expression; throws usher::Error 22023 with the place of the mistake. Its size, the nesting of brackets and
/// the height of the tree are limited: "1 + 1 + 1 …" makes a tree as high as it is long.
Node parse(std::string_view text);

/// Where names and functions get their meaning.
class Context {
public:
    virtual ~Context() = default;
    /// The value of a path's first two parts, r.sub or p.obj; throws for an unknown name.
    virtual const Value &variable(std::string_view owner, std::string_view name) = 0;
    virtual Value call(const Node &node, std::vector<Value> arguments) = 0;
    /// Called at every node: throws when the work is to end (see common/poll.hpp).
    virtual void poll() {}
};

/// Evaluates; throws usher::Error 22023 where types do not fit. A missing attribute is null, and null compares as false
/// with everything except by == and !=.
Value evaluate(const Node &node, Context &context);

} // namespace usher::expression
