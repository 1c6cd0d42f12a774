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

std::vector<std::string> read_names(const Definitions &definitions, const char *key) {
    const auto found = definitions.find(key);
    if (found == definitions.end()) refuse(std::string("definition of ") + key + " is missing");
    std::vector<std::string> names;
    std::string_view rest = found->second;
    while (true) {
        const std::size_t comma = rest.find(',');
        const std::string name(trim(rest.substr(0, comma)));
        const bool good = !name.empty() && name.size() <= 63 &&
                          std::all_of(name.begin(), name.end(), [](char c) { return is_alphanumeric(c) || c == '_'; });
        if (!good) refuse(std::string("definition of ") + key + " must be names separated by commas");
        if (*key != 'g' && std::find(names.begin(), names.end(), name) != names.end())
            refuse(std::string("a name stands twice in ") + key);
        names.push_back(name);
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    if (names.size() > max_columns) refuse(std::string("definition of ") + key + " has more than 6 names");
    return names;
}

Combine read_effect(const Definitions &definitions) {
    const auto found = definitions.find("e");
    if (found == definitions.end()) refuse("definition of e is missing");
    std::string text;
    for (const char c : found->second)
        if (c != ' ' && c != '\t') text.push_back(c == '_' ? '.' : c);
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
        const bool known = node.path[0] == "r"   ? model.request_index(node.path[1]).has_value()
                           : node.path[0] == "p" ? model.policy_index(node.path[1]).has_value()
                                                 : false;
        if (!known) refuse(who + " uses " + node.path[0] + "." + node.path[1] + ", which is not defined");
    } else if (node.kind == Kind::call) {
        const auto role = model.roles.find(node.name);
        const auto function = functions().find(node.name);
        if (role == model.roles.end() && function == functions().end())
            refuse(who + " calls " + node.name + "(), which does not exist");
        const std::size_t wanted = role != model.roles.end() ? role->second : function->second;
        if (node.children.size() != wanted) refuse(who + " calls " + node.name + "() with a wrong number of arguments");
    }
    for (const expression::Node &child : node.children) check_expression(model, child, what);
}

Model parse_model(std::string_view text) {
    if (text.size() > max_model_size) refuse("longer than 64 KiB");
    const Definitions definitions = trim(text).starts_with('{') ? read_json(text) : read_conf(text);
    Model model;
    model.request = read_names(definitions, "r");
    model.policy = read_names(definitions, "p");
    for (const auto &[key, value] : definitions) {
        if (key.size() > 3 || (key[0] == 'g' ? key.find_first_not_of("0123456789", 1) != std::string::npos
                                             : key != "r" && key != "p" && key != "e" && key != "m"))
            refuse("there is no definition named " + std::string(clip(key, 20)));
        if (key[0] != 'g') continue;
        const std::size_t arguments = read_names(definitions, key.c_str()).size();
        if (arguments != 2 && arguments != 3) refuse("definition of " + key + " must have two or three places");
        model.roles.emplace(key, arguments);
    }
    model.combine = read_effect(definitions);
    const auto matcher = definitions.find("m");
    if (matcher == definitions.end()) refuse("definition of m is missing");
    model.matcher = expression::parse(matcher->second);
    check_expression(model, model.matcher, "the matcher");
    return model;
}

} // namespace usher::policy
