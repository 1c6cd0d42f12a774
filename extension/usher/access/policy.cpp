#include "usher/access/policy.hpp"
#include "common/error.hpp"
#include "usher/access/policy_match.hpp"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>
#include <unordered_map>

namespace usher::policy {

namespace {

using expression::Node;
using expression::Value;

[[noreturn]] void refuse(const std::string &what) { throw Error(errc::invalid_argument, what); }

std::string text_of(const Value &value) {
    if (value.kind == Value::Kind::string) return value.string;
    constexpr double exact = 9007199254740992.0; // 2^53: integers up to here are themselves
    if (value.kind == Value::Kind::number && std::fabs(value.number) <= exact &&
        std::trunc(value.number) == value.number)
        return std::to_string(static_cast<long long>(value.number));
    if (value.kind == Value::Kind::null) return {};
    refuse("policy: a function was given something that is not text");
}

/// One request against one row after the other.
class Evaluation : public expression::Context {
public:
    Evaluation(const Model &model, const std::vector<std::string> &request, Store &store)
        : model_(model), store_(store) {
        for (const std::string &part : request) {
            if (part.size() > max_part) refuse("policy: a part of the request is longer than 65536 bytes");
            const bool attributes = part.find_first_not_of(" \t\r\n") != std::string::npos &&
                                    part[part.find_first_not_of(" \t\r\n")] == '{';
            auto parsed = attributes ? expression::from_json(part) : std::nullopt;
            request_.push_back(parsed ? std::move(*parsed) : Value::of(part));
        }
        row_.resize(max_columns);
    }

    /// Where there is no row: all columns are empty, and so are rules in them, which nothing fulfils.
    bool holds_without_row() {
        for (Value &column : row_) column = Value::of(std::string());
        without_row_ = true;
        return evaluate_matcher();
    }
    bool matches(const Columns &row) {
        for (std::size_t i = 0; i < max_columns; ++i) row_[i] = Value::of(row[i]);
        return evaluate_matcher();
    }
    /// For a matcher, or a part of one, that does not look at the row.
    bool holds(const Node &node) { return expression::evaluate(node, *this).is_true(); }

    const Value &variable(std::string_view owner, std::string_view name) override {
        if (owner == model_.request_type)
            if (const auto index = model_.request_index(name)) return request_[*index];
        if (owner == model_.row_type)
            if (const auto index = model_.policy_index(name)) return row_[*index];
        refuse("policy: there is no " + std::string(owner) + "." + std::string(name));
    }

    Value call(const Node &node, std::vector<Value> arguments) override {
        if (const auto role = model_.roles.find(node.name); role != model_.roles.end()) {
            const auto &above = groups(node.name, text_of(arguments[0]),
                                       role->second.places == 3 ? text_of(arguments[2]) : std::string());
            return Value::of(std::find(above.begin(), above.end(), text_of(arguments[1])) != above.end());
        }
        if (node.name == "eval") {
            const std::string rule = text_of(arguments[0]);
            return without_row_ && rule.empty() ? Value::of(false) : evaluate_rule(rule);
        }
        return Value::of(match_by(node.name, text_of(arguments[0]), text_of(arguments[1]), store_));
    }

    void poll() override { store_.poll(); }

    const std::vector<std::string> &groups(const std::string &ptype, const std::string &member,
                                           const std::string &domain) {
        const auto key = std::make_tuple(ptype, member, domain);
        if (const auto found = groups_.find(key); found != groups_.end()) return found->second;
        return groups_.emplace(key, store_.groups(ptype, member, domains_for(ptype, domain))).first->second;
    }

    [[nodiscard]] const Model &model() const { return model_; }

private:
    static constexpr std::size_t max_kept_rules = 1000;

    bool evaluate_matcher() { return holds(model_.matcher); }

    /// Which domains of rows stand for the one that is asked about.
    std::optional<std::vector<std::string>> domains_for(const std::string &ptype, const std::string &domain) {
        const Roles &roles = model_.roles.at(ptype);
        if (roles.places == 2) return std::nullopt;
        std::vector<std::string> own{domain};
        if (roles.domains.empty()) return own;
        for (std::string &each : store_.domains(ptype))
            if (each != domain && match_by(roles.domains, domain, each, store_)) own.push_back(std::move(each));
        return own;
    }

    /// eval(p.rule): a condition that stands in the row itself.
    Value evaluate_rule(const std::string &rule) {
        if (evaluating_) refuse("policy: eval() within eval()");
        auto found = rules_.find(rule);
        if (found == rules_.end()) {
            Node parsed = expression::parse(rule);
            check_expression(model_, parsed, "a rule of eval()");
            if (rules_.size() >= max_kept_rules) rules_.clear();
            found = rules_.emplace(rule, std::move(parsed)).first;
        }
        evaluating_ = true;
        Value result = expression::evaluate(found->second, *this);
        evaluating_ = false;
        return result;
    }

    const Model &model_;
    Store &store_;
    std::vector<Value> request_, row_;
    std::map<std::tuple<std::string, std::string, std::string>, std::vector<std::string>> groups_;
    std::map<std::string, Node> rules_;
    bool evaluating_ = false, without_row_ = false;
};

/// In an expression that was checked, what is not of the request is of the row. A rule of eval() may be about either.
bool mentions_row(const Node &node) {
    if (node.kind == Node::Kind::path && node.path[0][0] == 'p') return true;
    if (node.kind == Node::Kind::call && node.name == "eval") return true;
    return std::any_of(node.children.begin(), node.children.end(), mentions_row);
}

bool is_column(const Node &node) {
    return node.kind == Node::Kind::path && node.path[0][0] == 'p' && node.path.size() == 2;
}

/// What a condition that must hold demands of the row's columns, if that can be said without the row.
void add_constraints(const Node &node, Evaluation &evaluation, std::vector<Constraint> &out) {
    const auto add = [&](const Node &column, std::vector<std::string> any_of) {
        if (const auto index = evaluation.model().policy_index(column.path[1]))
            out.push_back({*index, std::move(any_of)});
    };
    const auto text = [&](const Node &known) -> std::optional<std::string> {
        const Value value = expression::evaluate(known, evaluation);
        return value.kind == Value::Kind::string ? std::optional(value.string) : std::nullopt;
    };
    if (node.kind == Node::Kind::all_of) {
        for (const Node &child : node.children) add_constraints(child, evaluation, out);
    } else if (node.kind == Node::Kind::binary && node.op == Node::Operator::equal) {
        for (const int side : {0, 1}) {
            const Node &column = node.children[static_cast<std::size_t>(side)];
            const Node &known = node.children[static_cast<std::size_t>(1 - side)];
            if (!is_column(column) || mentions_row(known)) continue;
            if (auto value = text(known)) add(column, {std::move(*value)});
        }
    } else if (node.kind == Node::Kind::call && evaluation.model().roles.contains(node.name) &&
               is_column(node.children[1]) && !mentions_row(node.children[0]) &&
               (node.children.size() == 2 || !mentions_row(node.children[2]))) {
        const auto member = text(node.children[0]);
        const auto domain = node.children.size() == 3 ? text(node.children[2]) : std::optional<std::string>("");
        if (member && domain) add(node.children[1], evaluation.groups(node.name, *member, *domain));
    }
}

/// The rows that can match: for each alternative of the matcher those that meet its demands.
std::vector<Columns> candidates(Evaluation &evaluation, Store &store, const Node &matcher) {
    const std::string &ptype = evaluation.model().row_type;
    std::vector<const Node *> alternatives;
    if (matcher.kind == Node::Kind::any_of)
        for (const Node &child : matcher.children) alternatives.push_back(&child);
    else
        alternatives.push_back(&matcher);

    std::vector<std::vector<Constraint>> demands;
    for (const Node *alternative : alternatives) {
        if (!mentions_row(*alternative)) {
            if (!evaluation.holds(*alternative)) continue; // can match no row
            return store.rows(ptype, {});                  // matches every row
        }
        std::vector<Constraint> mine;
        add_constraints(*alternative, evaluation, mine);
        if (mine.empty()) return store.rows(ptype, {});
        demands.push_back(std::move(mine));
    }
    if (demands.size() == 1) return store.rows(ptype, demands.front());
    if (demands.empty()) return {};
    if (evaluation.model().combine == Combine::priority || evaluation.model().combine == Combine::subject_priority)
        return store.rows(ptype, {}); // the order between the alternatives' rows matters
    std::set<Columns> all;
    for (const auto &each : demands)
        for (Columns &row : store.rows(ptype, each)) all.insert(std::move(row));
    return {all.begin(), all.end()};
}

enum class RowEffect : std::uint8_t { allow, deny, none };

RowEffect effect_of(const Model &model, const Columns &row) {
    const auto column = model.policy_index("eft");
    if (!column || row[*column].empty() || row[*column] == "allow") return RowEffect::allow;
    return row[*column] == "deny" ? RowEffect::deny : RowEffect::none;
}

long long priority_of(const std::string &text) {
    long long value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return read.ec == std::errc{} && read.ptr == text.data() + text.size() ? value
                                                                           : std::numeric_limits<long long>::max();
}

/// Puts the rows into the order in which the first match decides.
void order(Evaluation &evaluation, const std::vector<std::string> &request, std::vector<Columns> &rows) {
    const Model &model = evaluation.model();
    if (model.combine == Combine::priority) {
        if (const auto column = model.policy_index("priority"))
            std::stable_sort(rows.begin(), rows.end(), [&](const Columns &a, const Columns &b) {
                return priority_of(a[*column]) < priority_of(b[*column]);
            });
        return;
    }
    const auto subject = model.policy_index("sub");
    const auto who = model.request_index("sub");
    if (!subject || !who || !model.roles.contains("g")) return;
    const auto in = model.request_index("dom");
    const auto &above =
        evaluation.groups("g", request[*who], model.roles.at("g").places == 3 && in ? request[*in] : std::string());
    std::unordered_map<std::string_view, std::size_t> distances;
    for (std::size_t i = 0; i < above.size(); ++i) distances.emplace(above[i], i);
    const auto distance = [&](const Columns &row) {
        const auto found = distances.find(row[*subject]);
        return found == distances.end() ? above.size() : found->second;
    };
    std::stable_sort(rows.begin(), rows.end(), [&](const Columns &a, const Columns &b) {
        evaluation.poll();
        return distance(a) < distance(b);
    });
}

} // namespace

bool match_by(const std::string &function, const std::string &text, const std::string &pattern, Store &store) {
    if (pattern.size() > max_pattern)
        refuse("policy: the pattern of " + function + "() is longer than " + std::to_string(max_pattern) + " bytes");
    if (function == "keyMatch") return key_match(text, pattern);
    if (function == "keyMatch2") return store.regex_match(text, key_match2_regex(pattern));
    if (function == "keyMatch3") return store.regex_match(text, key_match3_regex(pattern));
    if (function == "keyMatch4") return store.regex_match(text, key_match4_regex(pattern));
    if (function == "keyMatch5") return store.regex_match(without_query(text), key_match5_regex(pattern));
    if (function == "regexMatch") return store.regex_match(text, pattern);
    if (function == "ipMatch") return ip_match(text, pattern);
    if (function == "globMatch") return glob_match(text, pattern, [&store] { store.poll(); });
    refuse("policy: there is no function " + function + "()");
}

bool enforce(const Model &model, const std::vector<std::string> &request, Store &store) {
    if (request.size() != model.request.size())
        refuse("the model's requests have " + std::to_string(model.request.size()) + " parts, this one has " +
               std::to_string(request.size()));
    Evaluation evaluation(model, request, store);

    // A matcher that is not about rows is asked once, whatever rows there are; so is any where there is none, as if all
    // columns were empty. What holds then allows.
    if (!mentions_row(model.matcher) || !store.has_rows(model.row_type))
        return evaluation.holds_without_row() || model.combine == Combine::deny_overrides;
    // An alternative that is not about rows holds for all of them, or for none: they need not be fetched.
    if (model.combine == Combine::allow_overrides && !model.policy_index("eft") &&
        model.matcher.kind == Node::Kind::any_of &&
        std::any_of(model.matcher.children.begin(), model.matcher.children.end(),
                    [&](const Node &each) { return !mentions_row(each) && evaluation.holds(each); }))
        return true;

    std::vector<Columns> rows = candidates(evaluation, store, model.matcher);
    const bool first_decides = model.combine == Combine::priority || model.combine == Combine::subject_priority;
    if (first_decides) order(evaluation, request, rows);
    bool allowed = false;
    for (const Columns &row : rows) {
        if (!evaluation.matches(row)) continue;
        const RowEffect effect = effect_of(model, row);
        if (effect == RowEffect::none) continue;
        if (first_decides) return effect == RowEffect::allow;
        if (effect == RowEffect::deny && model.combine != Combine::allow_overrides) return false;
        if (effect == RowEffect::allow) {
            allowed = true;
            if (model.combine == Combine::allow_overrides) return true;
        }
    }
    return model.combine == Combine::deny_overrides || allowed;
}

} // namespace usher::policy
