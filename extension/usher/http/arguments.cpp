#include "usher/http/arguments.hpp"
#include "common/json.hpp"
#include "common/text.hpp"

namespace usher::http {

namespace {
bool is_integer(std::string_view text, const ValueType &type) {
    if (text.empty() || text.size() > 20) return false;
    const std::size_t start = text.front() == '-' ? 1 : 0;
    if (start == text.size() || !std::all_of(text.begin() + start, text.end(), is_digit)) return false;
    errno = 0;
    const long long value = std::strtoll(std::string(text).c_str(), nullptr, 10);
    return errno == 0 && value >= type.min && value <= type.max;
}

// A value from path, query or header: text. Says what it must be when it is not that; the type's input function has the
// last word.
const char *check_text(std::string &text, const ValueType &type) {
    if (type.shape != Shape::integer) return check_form(type.shape, text);
    return is_integer(text, type) ? nullptr : "must be an integer in range";
}

// A value from a JSON body that is neither array nor object; `text` gets what the type's input function shall read.
const char *check_json(const json::Value &value, const ValueType &type, std::string &text) {
    switch (type.shape) {
    case Shape::boolean:
        if (!value.as_bool()) return "must be true or false";
        text = *value.as_bool() ? "true" : "false";
        return nullptr;
    case Shape::integer: {
        const auto number = value.as_int64();
        if (!number || *number < type.min || *number > type.max) return "must be an integer in range";
        text = std::to_string(*number);
        return nullptr;
    }
    case Shape::number:
        if (value.is(json::Kind::number))
            text = value.raw();
        else // exact decimals, for clients whose numbers are doubles
            text = value.as_string();
        return check_form(type.shape, text);
    case Shape::json: text = value.raw(); return nullptr;
    case Shape::object: return "must be an object";
    case Shape::array: return "must be an array";
    default:
        if (!value.is_string()) return "must be a string";
        text = value.as_string();
        return check_form(type.shape, text);
    }
}

class Collector {
public:
    Collector(const Function &function, std::vector<Bound> &bound, std::vector<FieldError> &errors)
        : function_(function), bound_(bound), errors_(errors), was_named_(function.arguments.size()) {}

    void add_text(const std::string &name, std::string_view in, std::string text) {
        const auto place = find(name, in);
        if (!place) return;
        const ValueType &type = function_.arguments[*place].value;
        const bool is_array = type.shape == Shape::array;
        if (const char *const wrong = check_text(text, is_array ? type.elements.front() : type))
            return fail(name, in, "invalid", wrong);
        Bound *const earlier = given(*place);
        if (earlier != nullptr && (!is_array || earlier->in != in)) // ?tag=a&tag=b makes an array
            return fail(name, in, "repeated", "was given more than once");
        if (!is_array) return bound_.push_back({*place, in, {false, text, {}}});
        if (earlier == nullptr) bound_.push_back({*place, in, {}});
        (earlier == nullptr ? bound_.back() : *earlier).given.parts.push_back({false, text, {}});
    }

    void add_json(const std::string &name, const json::Value &value) {
        const auto place = find(name, body);
        if (!place) return;
        if (given(*place) != nullptr) return fail(name, body, "repeated", "was given more than once");
        Bound fresh{*place, body, {}};
        if (read(name, value, function_.arguments[*place].value, fresh.given)) bound_.push_back(std::move(fresh));
    }

    void check_missing(const Route &route) {
        for (std::size_t i = 0; i < function_.arguments.size(); ++i) {
            const Argument &argument = function_.arguments[i];
            if (argument.has_default() || given(i) != nullptr) continue;
            const Place place = place_of(function_, argument, route.path, route.method);
            if (!was_named_[i]) fail(argument.name, place_name(place), "missing", "is required");
        }
    }

private:
    static constexpr std::string_view body = "body";

    bool read(const std::string &name, const json::Value &value, const ValueType &type, Given &given) {
        if (value.is_null() && type.shape != Shape::json) {
            given.is_null = true;
            return true;
        }
        if (type.shape == Shape::object && value.is_object()) return read_fields(name, value, type, given);
        if (type.shape == Shape::array && value.is_array()) return read_elements(name, value, type, given);
        const char *const wrong = check_json(value, type, given.text);
        if (wrong != nullptr) fail(name, body, "invalid", wrong);
        return wrong == nullptr;
    }

    bool read_elements(const std::string &name, const json::Value &value, const ValueType &type, Given &given) {
        const ValueType &element = type.elements.front();
        std::size_t number = 0;
        for (const json::Member member : value.members())
            if (!read(name + '[' + std::to_string(number++) + ']', member.value, element, given.parts.emplace_back()))
                return false; // one is enough
        return true;
    }

    bool read_fields(const std::string &name, const json::Value &value, const ValueType &type, Given &given) {
        bool is_good = true;
        given.parts.resize(type.fields.size());
        for (Given &part : given.parts) part.is_null = true; // what is not given
        for (const json::Member member : value.members()) {
            const std::string key = member.key();
            const auto field = std::find_if(type.fields.begin(), type.fields.end(),
                                            [&](const ValueField &f) { return f.name == key; });
            const std::string inner = name + '.' + (key.size() > 100 ? "(a long name)" : key);
            if (field == type.fields.end()) {
                fail(inner, body, "unknown", "is not known here");
                is_good = false;
                continue;
            }
            Given &part = given.parts[static_cast<std::size_t>(field - type.fields.begin())];
            part.is_null = false;
            is_good = read(inner, member.value, field->value, part) && is_good;
        }
        return is_good;
    }

    std::optional<std::size_t> find(const std::string &name, std::string_view in) {
        if (const Argument *const argument = function_.find(name)) {
            const auto place = static_cast<std::size_t>(argument - function_.arguments.data());
            was_named_[place] = true;
            return place;
        }
        fail(name.size() > 100 ? "(a long name)" : name, in, "unknown", "is not known here");
        return std::nullopt;
    }
    Bound *given(std::size_t argument) {
        const auto found =
            std::find_if(bound_.begin(), bound_.end(), [&](const Bound &b) { return b.argument == argument; });
        return found == bound_.end() ? nullptr : &*found;
    }
    void fail(const std::string &name, std::string_view in, std::string_view code, std::string detail) {
        if (errors_.size() < 50) errors_.push_back({name, in, code, std::move(detail)});
    }
    const Function &function_;
    std::vector<Bound> &bound_;
    std::vector<FieldError> &errors_;
    std::vector<bool> was_named_; // arguments that are not missing, whatever is wrong with them
};
} // namespace

Place place_of(const Function &function, const Argument &argument, const route::Template &path,
               std::string_view method) {
    const auto stands_for = [&](const route::Segment &s) { return s.is_parameter && s.text == argument.name; };
    if (std::any_of(path.begin(), path.end(), stands_for)) return Place::path;
    const auto number = static_cast<std::size_t>(&argument - function.arguments.data());
    const auto continues = [&](const PageKey &key) { return key.argument == number; };
    if (std::any_of(function.page.begin(), function.page.end(), continues)) return Place::cursor;
    if (method != "GET" && method != "DELETE") return Place::body;
    return argument.value.shape == Shape::object && argument.has_default() ? Place::none : Place::query;
}

std::string_view place_name(Place place) {
    constexpr std::array<std::string_view, 5> names{"path", "query", "body", "cursor", "none"};
    return names[static_cast<std::size_t>(place)];
}

bool collect(const Route &route, const Function &function, const Source &source, std::vector<Bound> &bound,
             std::vector<FieldError> &errors, std::string &malformed) {
    Collector collector(function, bound, errors);
    for (std::size_t i = 0; i < route.path.size(); ++i)
        if (route.path[i].is_parameter)
            collector.add_text(route.path[i].text, "path", std::string(route.path[i].value(source.segments[i])));
    // Headers that have a meaning of their own for functions that take part.
    const auto add_header = [&](const char *name, std::string_view value) {
        if (!value.empty() && function.find(name) != nullptr) collector.add_text(name, "header", std::string(value));
    };
    add_header("idempotency_key", source.idempotency_key);
    add_header("expected_version", source.version);
    add_header("refresh_token", source.refresh_token);
    for (const route::QueryParameter &each : source.query) collector.add_text(each.name, "query", each.value);
    if (!source.body.empty()) {
        json::Document document;
        if (!document.parse(source.body))
            malformed = document.error();
        else if (!document.root().is_object())
            malformed = "the body must be a JSON object";
        if (!malformed.empty()) return false;
        for (const json::Member member : document.root().members()) collector.add_json(member.key(), member.value);
    }
    collector.check_missing(route);
    std::sort(bound.begin(), bound.end(), [](const Bound &a, const Bound &b) { return a.argument < b.argument; });
    return true;
}

} // namespace usher::http
