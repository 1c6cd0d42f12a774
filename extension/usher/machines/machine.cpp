#include "usher/machines/machine.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/text.hpp"
#include "usher/access/permission.hpp"
#include <algorithm>

namespace usher::machine {

namespace {
constexpr std::size_t max_statuses = 200;
constexpr std::size_t max_transitions = 2000;
constexpr std::size_t max_name = 63;    // bytes, as of an identifier
constexpr std::size_t max_names = 1600; // in a list: a table has no more columns

std::string quoted(std::string_view text) { return json::quote(text); }

/// Where in the definition something is wrong, for the message: transitions[3].to
struct Place {
    std::string text;
    Place operator/(std::string_view key) const {
        return {text.empty() ? std::string(key) : text + "." + std::string(key)};
    }
    Place operator[](std::size_t index) const { return {text + "[" + std::to_string(index) + "]"}; }
};

[[noreturn]] void refuse(const Place &place, const std::string &problem) {
    const std::string where = place.text.empty() ? "machine definition" : "machine definition: " + place.text;
    throw Error(errc::invalid_argument, where + " " + problem, R"({"path":)" + quoted(place.text) + "}");
}

/// A name of a status, action or column: not empty, short, printable.
std::string read_name(const json::Value &value, const Place &place) {
    if (!value.is_string()) refuse(place, "must be a string, not " + std::string(json::kind_name(value.kind())));
    std::string text = value.as_string();
    if (text.empty()) refuse(place, "must not be empty");
    if (text.size() > max_name) refuse(place, "must not be longer than 63 bytes");
    if (std::any_of(text.begin(), text.end(), is_control)) refuse(place, "must not contain control characters");
    return text;
}

bool is_word(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(),
                                        [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

std::string read_permission(const json::Value &value, const Place &place) {
    std::string text = value.is_string() ? value.as_string() : std::string();
    if (!permission::parse(text)) refuse(place, "must be a permission of the form resource:action");
    return text;
}

/// "schema.function(jsonb,jsonb)"; whether it exists is for the server to say.
std::string read_guard(const json::Value &value, const Place &place) {
    std::string text = value.is_string() ? value.as_string() : std::string();
    if (text.find('(') == std::string::npos || text.find('.') == std::string::npos || text.size() > 200)
        refuse(place, "must be the signature of a function with its schema, such as wash.may_confirm(jsonb,jsonb)");
    return text;
}
} // namespace

/// Reads one definition into a machine.
class Machine::Reader {
public:
    explicit Reader(Machine &machine) : machine_(machine) {}

    void read(std::string_view definition) {
        if (!document_.parse(definition)) refuse({}, "is not valid JSON: " + document_.error());
        const json::Value root = document_.root();
        if (!root.is_object()) refuse({}, "must be an object, not " + std::string(json::kind_name(root.kind())));
        for (const json::Member member : root.members()) {
            const std::string key = member.key();
            if (key != "initial" && key != "terminal" && key != "transitions" && key != "description")
                refuse(Place{key}, "is not a known key (initial, terminal, transitions, description)");
        }
        for (const std::string &name : read_list(root, "initial", true))
            mark(machine_.initial_, name, Place{"initial"});
        for (const std::string &name : read_list(root, "terminal", false))
            mark(machine_.terminal_, name, Place{"terminal"});
        read_transitions(root);
    }

private:
    /// Names at `key`: a list, or one name for a list of one.
    std::vector<std::string> read_list(const json::Value &object, std::string_view key, bool required) {
        const Place place{std::string(key)};
        const std::optional<json::Value> value = object.find(key);
        if (!value) {
            if (required) refuse(place, "is missing");
            return {};
        }
        std::vector<std::string> names = read_names(*value, place);
        if (required && names.empty()) refuse(place, "must not be empty");
        return names;
    }

    static std::vector<std::string> read_names(const json::Value &value, const Place &place) {
        if (value.is_string()) return {read_name(value, place)};
        if (!value.is_array())
            refuse(place, "must be a list of names, not " + std::string(json::kind_name(value.kind())));
        if (value.size() > max_names) refuse(place, "has too many names: at most 1600 are possible");
        std::vector<std::string> names;
        for (const json::Member element : value.members()) {
            std::string name = read_name(element.value, place[names.size()]);
            if (std::find(names.begin(), names.end(), name) != names.end())
                refuse(place, "names " + quoted(name) + " twice");
            names.push_back(std::move(name));
        }
        return names;
    }

    Status intern(const std::string &name, const Place &place) {
        if (const std::optional<Status> known = machine_.find(name)) return *known;
        if (machine_.names_.size() >= max_statuses) refuse(place, "is one status too many: at most 200 are possible");
        machine_.names_.push_back(name);
        machine_.initial_.push_back(false);
        machine_.terminal_.push_back(false);
        return static_cast<Status>(machine_.names_.size() - 1);
    }

    void mark(std::vector<bool> &flags, const std::string &name, const Place &place) {
        flags[intern(name, place)] = true;
    }

    void read_transitions(const json::Value &root) {
        const Place place{"transitions"};
        const std::optional<json::Value> list = root.find("transitions");
        if (!list) refuse(place, "is missing");
        if (!list->is_array()) refuse(place, "must be a list, not " + std::string(json::kind_name(list->kind())));
        std::size_t index = 0;
        for (const json::Member element : list->members()) read_transition(element.value, place[index++]);
    }

    void read_transition(const json::Value &value, const Place &place) {
        if (!value.is_object()) refuse(place, "must be an object, not " + std::string(json::kind_name(value.kind())));
        Transition made;
        std::vector<Status> from;
        bool has_from = false, has_to = false;
        for (const json::Member member : value.members()) {
            const std::string key = member.key();
            const json::Value &given = member.value;
            const Place here = place / key;
            if (key == "from") {
                has_from = true;
                if (given.is_null())
                    from.push_back(nowhere);
                else
                    for (const std::string &name : read_names(given, here)) from.push_back(intern(name, here));
                if (from.empty()) refuse(here, "must not be empty");
            } else if (key == "to") {
                has_to = true;
                made.to = intern(read_name(given, here), here);
            } else if (key == "action")
                made.action = read_name(given, here);
            else if (key == "permission") {
                if (!given.is_null()) made.permission = read_permission(given, here);
            } else if (key == "guard") {
                if (!given.is_null()) made.guard = read_guard(given, here);
            } else if (key == "event") {
                if (!given.is_null()) made.event = read_event(given, here);
            } else if (key == "columns")
                made.columns = read_names(given, here);
            else if (key == "requires_reason") {
                const std::optional<bool> flag = given.as_bool();
                if (!flag) refuse(here, "must be true or false");
                made.requires_reason = *flag;
            } else if (key != "description")
                refuse(here, "is not a known key (from, to, action, permission, guard, event, requires_reason, "
                             "columns, description)");
        }
        if (!has_from) refuse(place / "from", "is missing (null stands for the creation of a row)");
        if (!has_to) refuse(place / "to", "is missing");
        if (made.action.empty()) refuse(place / "action", "is missing");
        for (const Status each : from) add(made, each, place);
    }

    static std::string read_event(const json::Value &value, const Place &place) {
        std::string text = read_name(value, place);
        if (!is_word(text)) refuse(place, "must consist of letters, digits, '_', '-' and '.'");
        return text;
    }

    void add(Transition transition, Status from, const Place &place) {
        transition.from = from;
        if (from == nowhere) {
            if (!machine_.initial_[transition.to])
                refuse(place,
                       "creates rows in status " + quoted(machine_.names_[transition.to]) + ", which is not initial");
        } else if (from == transition.to) {
            if (transition.columns.empty())
                refuse(place, "keeps the status: it must name in columns which of them may change");
        } else if (machine_.terminal_[from])
            refuse(place, "leaves status " + quoted(machine_.names_[from]) + ", which is terminal");
        if (from != transition.to && !transition.columns.empty())
            refuse(place / "columns", "is only for a transition that keeps the status");
        for (const Transition &other : machine_.transitions_)
            if (other.from == from && other.to == transition.to && other.action == transition.action)
                refuse(place, "repeats an earlier transition with the same from, to and action");
        if (machine_.transitions_.size() >= max_transitions)
            refuse(place, "is one too many: at most 2000 are possible");
        if (!transition.columns.empty()) machine_.watches_columns_ = true;
        machine_.transitions_.push_back(std::move(transition));
    }

    Machine &machine_;
    json::Document document_;
};

Machine Machine::parse(std::string_view definition) {
    Machine machine;
    Reader(machine).read(definition);
    machine.index();
    return machine;
}

std::optional<Status> Machine::find(std::string_view status) const noexcept {
    for (std::size_t i = 0; i < names_.size(); ++i)
        if (names_[i] == status) return static_cast<Status>(i);
    return std::nullopt;
}

std::size_t Machine::cell(Status from, Status to) const noexcept {
    const std::size_t row = from == nowhere ? 0 : std::size_t{from} + 1;
    return row * names_.size() + to;
}

// The sort is stable: transitions between the same two statuses keep the order in which they are to be tried.
void Machine::index() {
    std::stable_sort(transitions_.begin(), transitions_.end(), [this](const Transition &a, const Transition &b) {
        return cell(a.from, a.to) < cell(b.from, b.to);
    });
    first_.assign((names_.size() + 1) * names_.size() + 1, 0);
    for (const Transition &each : transitions_) ++first_[cell(each.from, each.to) + 1];
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
}

std::span<const Transition> Machine::between(Status from, Status to) const noexcept {
    const std::size_t at = cell(from, to);
    return std::span(transitions_).subspan(first_[at], first_[at + 1] - first_[at]);
}

std::vector<std::string_view> Machine::targets(Status from) const {
    std::vector<std::string_view> names;
    for (Status to = 0; to < count(); ++to)
        if (to != from && (from == nowhere ? initial_[to] : !between(from, to).empty())) names.push_back(names_[to]);
    return names;
}

/// Which statuses a row can come to.
std::vector<bool> Machine::reachable() const {
    std::vector<bool> seen = initial_;
    for (bool grown = true; grown;) {
        grown = false;
        for (const Transition &each : transitions_)
            if (each.from != nowhere && seen[each.from] && !seen[each.to]) grown = seen[each.to] = true;
    }
    return seen;
}

/// From which statuses a terminal one can be reached.
std::vector<bool> Machine::ends() const {
    std::vector<bool> seen = terminal_;
    for (bool grown = true; grown;) {
        grown = false;
        for (const Transition &each : transitions_)
            if (each.from != nowhere && seen[each.to] && !seen[each.from]) grown = seen[each.from] = true;
    }
    return seen;
}

std::vector<Finding> Machine::validate() const {
    std::vector<Finding> findings;
    const std::vector<bool> reached = reachable(), ending = ends();
    const bool has_terminal = std::find(terminal_.begin(), terminal_.end(), true) != terminal_.end();
    if (!has_terminal) findings.push_back({"no_terminal", "", "no status is terminal: rows never come to an end"});
    for (Status status = 0; status < count(); ++status) {
        const std::string &name = names_[status];
        if (!reached[status])
            findings.push_back({"unreachable_status", name, "no row can come to status " + quoted(name)});
        const bool leaves = std::any_of(transitions_.begin(), transitions_.end(), [status](const Transition &each) {
            return each.from == status && each.to != status;
        });
        if (!leaves && !terminal_[status])
            findings.push_back({"dead_end", name, "status " + quoted(name) + " cannot be left and is not terminal"});
        else if (has_terminal && !ending[status])
            findings.push_back({"no_way_to_terminal", name, "no terminal status can be reached from " + quoted(name)});
    }
    return findings;
}

namespace {
/// Mermaid reads no quotes in a label; what could end or break it becomes an entity code.
std::string mermaid_text(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == ';' || c == '#' || c == ':' || c == '"' || c == '<' || c == '>' || c == '{' || c == '}')
            out += "#" + std::to_string(static_cast<int>(c)) + ";";
        else
            out += c;
    }
    return out;
}

bool is_identifier(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '_'; }) &&
           text != "state" && text != "note" && text != "end" && text != "direction";
}
} // namespace

std::string Machine::diagram() const {
    std::vector<std::string> ids;
    std::string out = "stateDiagram-v2\n";
    for (std::size_t i = 0; i < names_.size(); ++i) {
        if (is_identifier(names_[i])) {
            ids.push_back(names_[i]);
            continue;
        }
        ids.push_back("status_" + std::to_string(i));
        out += "    state \"" + mermaid_text(names_[i]) + "\" as " + ids.back() + "\n";
    }
    for (Status to = 0; to < count(); ++to) {
        if (!initial_[to]) continue;
        const std::span<const Transition> creations = between(nowhere, to);
        if (creations.empty()) out += "    [*] --> " + ids[to] + "\n";
        for (const Transition &each : creations)
            out += "    [*] --> " + ids[to] + " : " + mermaid_text(each.action) + "\n";
    }
    for (const Transition &each : transitions_)
        if (each.from != nowhere)
            out += "    " + ids[each.from] + " --> " + ids[each.to] + " : " + mermaid_text(each.action) + "\n";
    for (Status from = 0; from < count(); ++from)
        if (terminal_[from]) out += "    " + ids[from] + " --> [*]\n";
    return out;
}

std::string detail(const Refusal &refusal) {
    std::string out = "{";
    const auto add = [&out](std::string_view key, std::string_view value) {
        out += (out.size() > 1 ? "," : "") + quoted(key) + ":" + (value.data() == nullptr ? "null" : quoted(value));
    };
    add("relation", refusal.relation);
    add("id", refusal.id);
    add("from", refusal.from);
    add("to", refusal.to);
    out += R"(,"allowed":[)";
    for (std::size_t i = 0; i < refusal.allowed.size(); ++i) out += (i == 0 ? "" : ",") + quoted(refusal.allowed[i]);
    out += "]";
    if (!refusal.rule.empty()) add("rule", refusal.rule);
    if (!refusal.what.empty()) add("reason", refusal.what);
    return out + "}";
}

} // namespace usher::machine
