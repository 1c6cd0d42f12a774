#include "common/expression.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/text.hpp"
#include <algorithm>
#include <charconv>
#include <cmath>

namespace usher::expression {

namespace {

constexpr std::size_t max_size = 65536;
constexpr int max_depth = 64;   // of brackets
constexpr int max_height = 200; // of the tree: more operators in a row than anybody writes

[[noreturn]] void refuse(const std::string &what) { throw Error(errc::invalid_argument, what); }

Value convert(const json::Value &from, int depth) {
    if (depth > max_depth) refuse("JSON value is nested too deeply");
    Value out;
    switch (from.kind()) {
    case json::Kind::null: break;
    case json::Kind::boolean: return Value::of(from.as_bool().value_or(false));
    case json::Kind::number: return Value::of(from.as_double().value_or(0));
    case json::Kind::string: return Value::of(from.as_string());
    case json::Kind::array:
        out.kind = Value::Kind::list;
        for (const json::Member member : from.members()) out.items.push_back(convert(member.value, depth + 1));
        break;
    case json::Kind::object:
        out.kind = Value::Kind::object;
        for (const json::Member member : from.members()) {
            out.keys.push_back(member.key());
            out.items.push_back(convert(member.value, depth + 1));
        }
        break;
    }
    return out;
}

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Node parse_all() {
        if (text_.size() > max_size) refuse("expression is too long");
        Node node = parse_or(0);
        skip_space();
        if (at_ != text_.size()) fail("unexpected text");
        return node;
    }

private:
    using Operator = Node::Operator;

    [[noreturn]] void fail(const char *what) const {
        refuse("expression: " + std::string(what) + " at byte " + std::to_string(at_ + 1));
    }
    void skip_space() {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
            ++at_;
    }
    bool take(std::string_view token) {
        skip_space();
        if (!text_.substr(at_).starts_with(token)) return false;
        at_ += token.size();
        return true;
    }
    bool take_word(std::string_view word) {
        skip_space();
        const std::string_view rest = text_.substr(at_);
        if (!rest.starts_with(word) || (rest.size() > word.size() && is_name_part(rest[word.size()]))) return false;
        at_ += word.size();
        return true;
    }
    void descend(int depth) const {
        if (depth > max_depth) fail("too deeply nested");
    }
    /// A node with its children. Every inner node is made here, so that none is too high.
    Node inner(Node::Kind kind, std::vector<Node> children) const {
        Node node;
        node.kind = kind;
        for (const Node &child : children) node.height = std::max(node.height, child.height + 1);
        if (node.height > max_height) fail("too many operators in a row");
        node.children = std::move(children);
        return node;
    }

    Node join(Node::Kind kind, std::vector<Node> parts) const {
        return parts.size() == 1 ? std::move(parts.front()) : inner(kind, std::move(parts));
    }
    Node parse_or(int depth) {
        descend(depth);
        std::vector<Node> parts{parse_and(depth)};
        while (take("||")) parts.push_back(parse_and(depth));
        return join(Node::Kind::any_of, std::move(parts));
    }
    Node parse_and(int depth) {
        std::vector<Node> parts{parse_comparison(depth)};
        while (take("&&")) parts.push_back(parse_comparison(depth));
        return join(Node::Kind::all_of, std::move(parts));
    }
    Node binary(Operator op, Node left, Node right) const {
        std::vector<Node> sides;
        sides.push_back(std::move(left));
        sides.push_back(std::move(right));
        Node node = inner(Node::Kind::binary, std::move(sides));
        node.op = op;
        return node;
    }
    Node parse_comparison(int depth) {
        Node left = parse_sum(depth);
        for (;;) {
            Operator op = Operator::none;
            if (take("=="))
                op = Operator::equal;
            else if (take("!="))
                op = Operator::not_equal;
            else if (take("<="))
                op = Operator::less_equal;
            else if (take(">="))
                op = Operator::greater_equal;
            else if (take("<"))
                op = Operator::less;
            else if (take(">"))
                op = Operator::greater;
            else if (take_word("in"))
                op = Operator::in;
            else
                return left;
            left = binary(op, std::move(left), parse_sum(depth));
        }
    }
    Node parse_sum(int depth) {
        Node left = parse_product(depth);
        for (;;) {
            if (take("+"))
                left = binary(Operator::plus, std::move(left), parse_product(depth));
            else if (take("-"))
                left = binary(Operator::minus, std::move(left), parse_product(depth));
            else
                return left;
        }
    }
    Node parse_product(int depth) {
        Node left = parse_unary(depth);
        for (;;) {
            if (take("*"))
                left = binary(Operator::times, std::move(left), parse_unary(depth));
            else if (take("/"))
                left = binary(Operator::divide, std::move(left), parse_unary(depth));
            else if (take("%"))
                left = binary(Operator::modulo, std::move(left), parse_unary(depth));
            else
                return left;
        }
    }
    Node parse_unary(int depth) {
        descend(depth);
        skip_space();
        const bool negated = at_ + 1 < text_.size() && text_[at_] == '!' && text_[at_ + 1] != '=';
        if (!negated && !text_.substr(at_).starts_with('-')) return parse_primary(depth);
        ++at_;
        std::vector<Node> operand;
        operand.push_back(parse_unary(depth + 1));
        return inner(negated ? Node::Kind::negate : Node::Kind::minus, std::move(operand));
    }
    std::vector<Node> parse_items(int depth) { // after the opening bracket, up to and with the closing one
        std::vector<Node> items;
        if (take(")")) return items;
        do items.push_back(parse_or(depth + 1));
        while (take(","));
        if (!take(")")) fail("\")\" expected");
        return items;
    }
    Node parse_primary(int depth) {
        skip_space();
        if (at_ >= text_.size()) fail("unexpected end");
        const char c = text_[at_];
        if (c == '(') {
            ++at_;
            std::vector<Node> items = parse_items(depth);
            if (items.size() == 1)
                return std::move(items.front()); // ('a') after `in` is a list of one: evaluate() knows
            return inner(Node::Kind::list, std::move(items));
        }
        if (c == '"' || c == '\'') return parse_string(c);
        if (is_digit(c)) return parse_number();
        if (is_name_start(c)) return parse_name(depth);
        fail("unexpected character");
    }
    Node parse_string(char quote) {
        std::string out;
        for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size() && (text_[at_ + 1] == quote || text_[at_ + 1] == '\\'))
                ++at_;
            out.push_back(text_[at_]);
        }
        if (at_ >= text_.size()) fail("unterminated string");
        ++at_;
        Node node;
        node.literal = Value::of(std::move(out));
        return node;
    }
    Node parse_number() {
        double number = 0;
        const auto end =
            std::from_chars(text_.data() + at_, text_.data() + text_.size(), number, std::chars_format::general);
        if (end.ec != std::errc{}) fail("malformed number");
        at_ = static_cast<std::size_t>(end.ptr - text_.data());
        Node node;
        node.literal = Value::of(number);
        return node;
    }
    std::string take_name() {
        const std::size_t from = at_;
        while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
        return std::string(text_.substr(from, at_ - from));
    }
    Node parse_name(int depth) {
        Node node;
        std::string first = take_name();
        if (first == "true" || first == "false") {
            node.literal = Value::of(first == "true");
            return node;
        }
        if (take("(")) {
            Node call = inner(Node::Kind::call, parse_items(depth));
            call.name = std::move(first);
            return call;
        }
        node.kind = Node::Kind::path;
        if (const auto bar = first.find('_');
            bar != std::string::npos && bar > 0 && bar + 1 < first.size() && (first[0] == 'r' || first[0] == 'p'))
            node.path = {first.substr(0, bar), first.substr(bar + 1)}; // r_sub, as Casbin's own rewriting leaves it
        else
            node.path = {std::move(first)};
        while (at_ < text_.size() && text_[at_] == '.') {
            ++at_;
            if (at_ >= text_.size() || !is_name_start(text_[at_])) fail("attribute name expected");
            node.path.push_back(take_name());
        }
        if (node.path.size() < 2) fail("name of the form r.name or p.name expected");
        return node;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

std::optional<double> number_of(const Value &value) {
    if (value.kind == Value::Kind::number) return value.number;
    if (value.kind != Value::Kind::string || value.string.empty()) return std::nullopt;
    double number = 0;
    const char *const end = value.string.data() + value.string.size();
    const auto read = std::from_chars(value.string.data(), end, number);
    return read.ec == std::errc{} && read.ptr == end ? std::optional(number) : std::nullopt;
}

bool equal(const Value &a, const Value &b) {
    if (a.kind != b.kind) { // "20" from a policy column against 20
        if (a.kind != Value::Kind::number && b.kind != Value::Kind::number) return false;
        const auto left = number_of(a);
        const auto right = number_of(b);
        return left && right && *left == *right;
    }
    switch (a.kind) {
    case Value::Kind::null: return true;
    case Value::Kind::boolean: return a.boolean == b.boolean;
    case Value::Kind::number: return a.number == b.number;
    case Value::Kind::string: return a.string == b.string;
    case Value::Kind::list:
    case Value::Kind::object: break;
    }
    return a.keys == b.keys && std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equal);
}

bool compare(Node::Operator op, const Value &a, const Value &b) {
    if (a.kind == Value::Kind::null || b.kind == Value::Kind::null) return false;
    int order = 0;
    if (a.kind == Value::Kind::string && b.kind == Value::Kind::string) {
        order = a.string.compare(b.string);
    } else {
        const auto left = number_of(a);
        const auto right = number_of(b);
        if (!left || !right) refuse("expression: values of different types cannot be ordered");
        if (std::isnan(*left) || std::isnan(*right)) return false;
        order = *left < *right ? -1 : *left > *right;
    }
    switch (op) {
    case Node::Operator::less: return order < 0;
    case Node::Operator::less_equal: return order <= 0;
    case Node::Operator::greater: return order > 0;
    default: return order >= 0;
    }
}

Value arithmetic(Node::Operator op, const Value &a, const Value &b) {
    if (a.kind == Value::Kind::null || b.kind == Value::Kind::null) return {};
    if (op == Node::Operator::plus && a.kind == Value::Kind::string && b.kind == Value::Kind::string) {
        if (a.string.size() + b.string.size() > max_size) refuse("expression: text is too long");
        return Value::of(a.string + b.string);
    }
    const auto left = number_of(a);
    const auto right = number_of(b);
    if (!left || !right) refuse("expression: arithmetic needs numbers");
    switch (op) {
    case Node::Operator::plus: return Value::of(*left + *right);
    case Node::Operator::minus: return Value::of(*left - *right);
    case Node::Operator::times: return Value::of(*left * *right);
    case Node::Operator::divide: return Value::of(*left / *right);
    default: return Value::of(std::fmod(*left, *right));
    }
}

Value evaluate_binary(const Node &node, Context &context) {
    const Value left = evaluate(node.children[0], context);
    const Value right = evaluate(node.children[1], context);
    switch (node.op) {
    case Node::Operator::equal: return Value::of(equal(left, right));
    case Node::Operator::not_equal: return Value::of(!equal(left, right));
    case Node::Operator::in:
        if (right.kind != Value::Kind::list) return Value::of(right.kind != Value::Kind::null && equal(left, right));
        return Value::of(
            std::any_of(right.items.begin(), right.items.end(), [&](const Value &item) { return equal(left, item); }));
    case Node::Operator::less:
    case Node::Operator::less_equal:
    case Node::Operator::greater:
    case Node::Operator::greater_equal: return Value::of(compare(node.op, left, right));
    default: return arithmetic(node.op, left, right);
    }
}

bool truth(const Value &value) {
    if (value.kind != Value::Kind::boolean && value.kind != Value::Kind::null)
        refuse("expression: true or false expected");
    return value.is_true();
}

} // namespace

Value Value::of(bool value) {
    Value out;
    out.kind = Kind::boolean;
    out.boolean = value;
    return out;
}
Value Value::of(double value) {
    Value out;
    out.kind = Kind::number;
    out.number = value;
    return out;
}
Value Value::of(std::string value) {
    Value out;
    out.kind = Kind::string;
    out.string = std::move(value);
    return out;
}

const Value &Value::member(std::string_view key) const {
    static const Value *const null_value = new Value; // never destroyed: a backend that exits must not run destructors
    const auto found = std::find(keys.begin(), keys.end(), key);
    return found == keys.end() ? *null_value : items[static_cast<std::size_t>(found - keys.begin())];
}

std::optional<Value> from_json(std::string_view text) {
    json::Document document;
    if (!document.parse(text)) return std::nullopt;
    return convert(document.root(), 0);
}

Node parse(std::string_view text) { return Parser(text).parse_all(); }

Value evaluate(const Node &node, Context &context) {
    context.poll();
    switch (node.kind) {
    case Node::Kind::literal: return node.literal;
    case Node::Kind::path: {
        const Value *value = &context.variable(node.path[0], node.path[1]);
        for (std::size_t i = 2; i < node.path.size(); ++i) value = &value->member(node.path[i]);
        return *value;
    }
    case Node::Kind::call:
    case Node::Kind::list: {
        std::vector<Value> values;
        values.reserve(node.children.size());
        for (const Node &child : node.children) values.push_back(evaluate(child, context));
        if (node.kind == Node::Kind::call) return context.call(node, std::move(values));
        Value list;
        list.kind = Value::Kind::list;
        list.items = std::move(values);
        return list;
    }
    case Node::Kind::negate: return Value::of(!truth(evaluate(node.children[0], context)));
    case Node::Kind::minus:
        return arithmetic(Node::Operator::minus, Value::of(0.0), evaluate(node.children[0], context));
    case Node::Kind::all_of:
        return Value::of(std::all_of(node.children.begin(), node.children.end(),
                                     [&](const Node &c) { return truth(evaluate(c, context)); }));
    case Node::Kind::any_of:
        return Value::of(std::any_of(node.children.begin(), node.children.end(),
                                     [&](const Node &c) { return truth(evaluate(c, context)); }));
    case Node::Kind::binary: return evaluate_binary(node, context);
    }
    return {};
}

} // namespace usher::expression
