// Reading policy models.
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "usher/access/policy.hpp"
#include <algorithm>

namespace usher::policy {

namespace {

constexpr std::size_t max_model_size = 65536;

[[noreturn]] void refuse(const std::string &what) { throw Error(errc::invalid_argument, "policy model: " + what); }

using Definitions = std::map<std::string, std::string>; // r, p, g, g2, e, m

/// The .conf form. Section headings say nothing that the keys do not; # and ; begin a comment wherever they stand; a
/// line that ends in a backslash goes on in the next.
Definitions read_conf(std::string_view text) {
    Definitions out;
    std::string line;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view all = text.substr(0, end);
        std::string_view part = trim(all.substr(0, all.find_first_of("#;")));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const bool goes_on = part.ends_with('\\');
        if (goes_on) part = trim(part.substr(0, part.size() - 1));
        line += line.empty() ? "" : " ";
        line += part;
        if (goes_on) continue;
        const std::string_view whole = trim(line);
        if (!whole.empty() && whole.front() != '[') {
            const std::size_t sign = whole.find('=');
            if (sign == std::string_view::npos) refuse("a line must have the form name = definition");
            if (!out.emplace(std::string(trim(whole.substr(0, sign))), std::string(trim(whole.substr(sign + 1))))
                     .second)
                refuse("a definition stands twice");
        }
        line.clear();
    }
    return out;
}

Definitions read_json(std::string_view text) {
    json::Document document;
    if (!document.parse(text)) refuse("not JSON: " + document.error());
    Definitions out;
    for (const json::Member member : document.root().members()) {
        if (!member.value.is_string()) refuse("a definition must be text");
        out.emplace(member.key(), member.value.as_string());
    }
    return out;
}

const std::string &definition_of(const Definitions &definitions, const std::string &key) {
    const auto found = definitions.find(key);
    if (found == definitions.end()) refuse("definition of " + key + " is missing");
    return found->second;
}

std::vector<std::string> read_names(const Definitions &definitions, const std::string &key, std::size_t most) {
    std::vector<std::string> names;
    std::string_view rest = definition_of(definitions, key);
    while (true) {
        const std::size_t comma = rest.find(',');
        const std::string name(trim(rest.substr(0, comma)));
        const bool good = !name.empty() && name.size() <= 63 &&
                          std::all_of(name.begin(), name.end(), [](char c) { return is_alphanumeric(c) || c == '_'; });
        if (!good) refuse("definition of " + key + " must be names separated by commas");
        if (key[0] != 'g' && std::find(names.begin(), names.end(), name) != names.end())
            refuse("a name stands twice in " + key);
        names.push_back(name);
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    if (names.size() > most) refuse("definition of " + key + " has more than " + std::to_string(most) + " names");
    return names;
}

/// `row_type`: p, or p2 in e2.
Combine read_effect(const Definitions &definitions, const std::string &key, const std::string &row_type) {
    std::string text;
    for (const char c : definition_of(definitions, key))
        if (c != ' ' && c != '\t') text.push_back(c == '_' ? '.' : c);
    for (const std::string own = row_type + ".eft"; row_type != "p";) {
        const std::size_t found = text.find(own);
        if (found == std::string::npos) break;
        text.replace(found, own.size(), "p.eft");
    }
    if (text == "some(where(p.eft==allow))") return Combine::allow_overrides;
    if (text == "!some(where(p.eft==deny))") return Combine::deny_overrides;
    if (text == "some(where(p.eft==allow))&&!some(where(p.eft==deny))") return Combine::allow_and_no_deny;
    if (text == "priority(p.eft)||deny") return Combine::priority;
    if (text == "subjectPriority(p.eft)||deny") return Combine::subject_priority;
    refuse("the effect is none of the five that there are");
}

const std::map<std::string, std::size_t> &functions() {
    static const auto *const list = new std::map<std::string, std::size_t>{
        // never destroyed
        {"keyMatch", 2},   {"keyMatch2", 2}, {"keyMatch3", 2}, {"keyMatch4", 2}, {"keyMatch5", 2},
        {"regexMatch", 2}, {"ipMatch", 2},   {"globMatch", 2}, {"eval", 1}};
    return *list;
}

std::optional<std::size_t> index_of(const std::vector<std::string> &names, std::string_view name) {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - names.begin()));
}

} // namespace

std::optional<std::size_t> Model::request_index(std::string_view name) const { return index_of(request, name); }
std::optional<std::size_t> Model::policy_index(std::string_view name) const { return index_of(policy, name); }

void check_expression(const Model &model, const expression::Node &node, const char *what) {
    using Kind = expression::Node::Kind;
    const std::string who = what;
    if (node.kind == Kind::path) {
        const bool known = node.path[0] == model.request_type ? model.request_index(node.path[1]).has_value()
                           : node.path[0] == model.row_type   ? model.policy_index(node.path[1]).has_value()
                                                              : false;
        if (!known) refuse(who + " uses " + node.path[0] + "." + node.path[1] + ", which is not defined");
    } else if (node.kind == Kind::call) {
        const auto role = model.roles.find(node.name);
        const auto function = functions().find(node.name);
        if (role == model.roles.end() && function == functions().end())
            refuse(who + " calls " + node.name + "(), which does not exist");
        const std::size_t wanted = role != model.roles.end() ? role->second.places : function->second;
        if (node.children.size() != wanted) refuse(who + " calls " + node.name + "() with a wrong number of arguments");
    }
    for (const expression::Node &child : node.children) check_expression(model, child, what);
}

namespace {
Definitions read_definitions(std::string_view text) {
    if (text.size() > max_model_size) refuse("longer than 64 KiB");
    return trim(text).starts_with('{') ? read_json(text) : read_conf(text);
}

bool is_number(std::string_view text) {
    return text.size() <= 2 && std::all_of(text.begin(), text.end(), is_digit) && !text.starts_with('0');
}

constexpr std::string_view domains_suffix = "_domains"; // of g, g2 …: g_domains = keyMatch

/// Is it one that a model can have: r, p, e, m and g, alone or with a number, and how domains of a g match?
bool is_definition(std::string_view key) {
    const std::string_view plain =
        key.ends_with(domains_suffix) ? key.substr(0, key.size() - domains_suffix.size()) : key;
    if (plain.empty() || !is_number(plain.substr(1))) return false;
    return std::string_view(plain == key ? "rpemg" : "g").find(plain[0]) != std::string_view::npos;
}

void read_roles(const Definitions &definitions, Model &model) {
    for (const auto &[key, value] : definitions) {
        if (key[0] != 'g' || key.ends_with(domains_suffix)) continue;
        Roles roles{read_names(definitions, key, max_columns).size(), {}};
        if (roles.places != 2 && roles.places != 3) refuse("definition of " + key + " must have two or three places");
        if (const auto found = definitions.find(key + std::string(domains_suffix)); found != definitions.end()) {
            const auto function = functions().find(found->second);
            if (roles.places != 3 || function == functions().end() || function->second != 2)
                refuse(found->first + " must be the name of a matching function, for a "
                                      "role function of three places");
            roles.domains = found->second;
        }
        model.roles.emplace(key, roles);
    }
    for (const auto &[key, value] : definitions)
        if (key.ends_with(domains_suffix) && !model.roles.contains(key.substr(0, key.size() - domains_suffix.size())))
            refuse(key + " is about a role function that is not defined");
}

Model read_model(const Definitions &definitions, const std::string &number) {
    for (const auto &[key, value] : definitions)
        if (!is_definition(key)) refuse("there is no definition named " + std::string(clip(key, 20)));
    Model model;
    model.request_type += number;
    model.row_type += number;
    model.request = read_names(definitions, model.request_type, max_request);
    model.policy = read_names(definitions, model.row_type, max_columns);
    read_roles(definitions, model);
    model.combine = read_effect(definitions, "e" + number, model.row_type);
    model.matcher = expression::parse(definition_of(definitions, "m" + number));
    check_expression(model, model.matcher, "the matcher");
    return model;
}
} // namespace

Model parse_model(std::string_view text, std::string_view context) {
    if (!is_number(context)) refuse("a context is a number: 2 for r2, p2, e2 and m2");
    return read_model(read_definitions(text), std::string(context));
}

void check_model(std::string_view text) {
    const Definitions definitions = read_definitions(text);
    bool any = false;
    for (const auto &[key, value] : definitions) {
        if (key.empty() || key[0] != 'm') continue;
        any = true;
        read_model(definitions, key.substr(1));
    }
    if (!any) read_model(definitions, {}); // says what is missing
}

} // namespace usher::policy
