#include "usher/http/arguments.hpp"
#include "common/json.hpp"
#include "common/text.hpp"

namespace usher::http {

namespace {
// An instant without its offset would mean whatever time zone the session has.
bool is_timestamp(std::string_view text) {
    if (text.size() < 17 || text.size() > 40) return false;
    constexpr std::string_view shape = "dddd-dd-ddTdd:dd";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const bool ok = shape[i] == 'd'   ? is_digit(text[i])
                        : shape[i] == 'T' ? text[i] == 'T' || text[i] == 't' || text[i] == ' '
                                          : text[i] == shape[i];
        if (!ok) return false;
    }
    if (text.back() == 'Z' || text.back() == 'z') return true;
    const std::size_t sign = text.find_last_of("+-");
    return sign != std::string_view::npos && sign >= shape.size() && text.size() - sign >= 3;
}

bool is_integer(std::string_view text, const Argument &argument) {
    if (text.empty() || text.size() > 20) return false;
    const std::size_t start = text.front() == '-' ? 1 : 0;
    if (start == text.size() || !std::all_of(text.begin() + start, text.end(), is_digit)) return false;
    errno = 0;
    const long long value = std::strtoll(std::string(text).c_str(), nullptr, 10);
    return errno == 0 && value >= argument.min && value <= argument.max;
}

// A value from path, query or header: text. Says what it must be when it is not that; the type's input function has the
// last word.
const char *check_text(const std::string &text, Shape shape, const Argument &argument) {
    switch (shape) {
    case Shape::boolean: return text == "true" || text == "false" ? nullptr : "must be true or false";
    case Shape::integer: return is_integer(text, argument) ? nullptr : "must be an integer in range";
    case Shape::timestamp: return is_timestamp(text) ? nullptr : "must be an RFC 3339 date-time with an offset";
    case Shape::object: return "can be given in the body only";
    case Shape::number:
    case Shape::string:
    case Shape::json:
    case Shape::array: return nullptr;
    }
    return nullptr;
}

// A value from a JSON body; `text` gets what the type's input function shall read.
const char *check_json(const json::Value &value, Shape shape, const Argument &argument, std::string &text) {
    switch (shape) {
    case Shape::boolean:
        if (!value.as_bool()) return "must be true or false";
        text = *value.as_bool() ? "true" : "false";
        return nullptr;
    case Shape::integer: {
        const auto number = value.as_int64();
        if (!number || *number < argument.min || *number > argument.max) return "must be an integer in range";
        text = std::to_string(*number);
        return nullptr;
    }
    case Shape::number:
        if (value.is(json::Kind::number))
            text = value.raw();
        else if (value.is_string())
            text = value.as_string(); // exact decimals, for clients whose numbers are doubles
        else
            return "must be a number";
        return nullptr;
    case Shape::string:
    case Shape::timestamp:
        if (!value.is_string()) return "must be a string";
        text = value.as_string();
        return check_text(text, shape, argument);
    case Shape::object:
        if (!value.is_object()) return "must be an object";
        text = value.raw();
        return nullptr;
    case Shape::json: text = value.raw(); return nullptr;
    case Shape::array: return "must be an array";
    }
    return nullptr;
}

class Collector {
public:
    Collector(const Function &function, std::vector<Bound> &bound, std::vector<FieldError> &errors)
        : function_(function), bound_(bound), errors_(errors) {}

    void add_text(const std::string &name, std::string_view in, const std::string &text) {
        const auto place = find(name, in);
        if (!place) return;
        const Argument &argument = function_.arguments[*place];
        const Shape shape = argument.shape == Shape::array ? argument.element : argument.shape;
        if (const char *const wrong = check_text(text, shape, argument)) return fail(name, in, "invalid", wrong);
        if (Bound *const earlier = given(*place)) { // ?tag=a&tag=b makes an array
            if (argument.shape != Shape::array || earlier->in != in)
                return fail(name, in, "repeated", "was given more than once");
            earlier->elements.emplace_back(text);
            return;
        }
        Bound fresh{*place, in, false, {}, {}};
        if (argument.shape == Shape::array)
            fresh.elements.emplace_back(text);
        else
            fresh.text = text;
        bound_.push_back(std::move(fresh));
    }

    void add_json(const std::string &name, const json::Value &value) {
        constexpr std::string_view in = "body";
        const auto place = find(name, in);
        if (!place) return;
        if (given(*place) != nullptr) return fail(name, in, "repeated", "was given more than once");
        const Argument &argument = function_.arguments[*place];
        Bound fresh{*place, in, false, {}, {}};
        if (value.is_null() && argument.shape != Shape::json) {
            fresh.is_null = true;
        } else if (argument.shape == Shape::array) {
            if (!value.is_array()) return fail(name, in, "invalid", "must be an array");
            for (const json::Member member : value.members()) {
                std::string text;
                if (member.value.is_null()) {
                    fresh.elements.emplace_back(std::nullopt);
                    continue;
                }
                if (const char *const wrong = check_json(member.value, argument.element, argument, text))
                    return fail(name, in, "invalid", std::string("each element ") + wrong);
                fresh.elements.emplace_back(std::move(text));
            }
        } else if (const char *const wrong = check_json(value, argument.shape, argument, fresh.text)) {
            return fail(name, in, "invalid", wrong);
        }
        bound_.push_back(std::move(fresh));
    }

    void check_missing(const Route &route) {
        for (std::size_t i = 0; i < function_.arguments.size(); ++i) {
            const Argument &argument = function_.arguments[i];
            if (argument.has_default || given(i) != nullptr) continue;
            const bool failed = std::any_of(errors_.begin(), errors_.end(),
                                            [&](const FieldError &e) { return e.field == argument.name; });
            const Place place = place_of(function_, argument, route.path, route.method);
            if (!failed) fail(argument.name, place_name(place), "missing", "is required");
        }
    }

private:
    std::optional<std::size_t> find(const std::string &name, std::string_view in) {
        if (const Argument *const argument = function_.find(name)) return argument - function_.arguments.data();
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
    return argument.shape == Shape::object && argument.has_default ? Place::none : Place::query;
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

namespace {
Datum read_value(const Argument &argument, const Bound &bound) {
    const Oid type = argument.shape == Shape::array    ? argument.element_type
                     : argument.shape == Shape::object ? static_cast<Oid>(JSONBOID)
                                                       : argument.type;
    Oid function, parameter;
    getTypeInputInfo(type, &function, &parameter);
    if (argument.shape != Shape::array)
        return OidInputFunctionCall(function, const_cast<char *>(bound.text.c_str()), parameter, -1);

    const std::size_t count = bound.elements.size();
    auto *const values = static_cast<Datum *>(palloc0(sizeof(Datum) * (count + 1)));
    auto *const nulls = static_cast<bool *>(palloc0(sizeof(bool) * (count + 1)));
    for (std::size_t i = 0; i < count; ++i) {
        nulls[i] = !bound.elements[i];
        if (bound.elements[i])
            values[i] = OidInputFunctionCall(function, const_cast<char *>(bound.elements[i]->c_str()), parameter, -1);
    }
    std::int16_t length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    int size = static_cast<int>(count), lower = 1;
    return PointerGetDatum(
        construct_md_array(values, nulls, count == 0 ? 0 : 1, &size, &lower, type, length, by_value, align));
}
} // namespace

Datum to_datum(const Argument &argument, const Bound &bound) {
    const Datum value = bound.is_null ? 0 : read_value(argument, bound);
    // NULL and arrays have not been through the domain's input function
    if (argument.shape != Shape::object && get_typtype(argument.type) == TYPTYPE_DOMAIN)
        domain_check(value, bound.is_null, argument.type, nullptr, nullptr);
    return value;
}

} // namespace usher::http
