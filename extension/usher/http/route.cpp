#include "usher/http/route.hpp"
#include "common/encoding.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>
#include <array>

namespace usher::route {

namespace {
constexpr std::array<std::string_view, 5> route_methods{"DELETE", "GET", "PATCH", "POST", "PUT"};
constexpr std::size_t max_query = 8192, max_parameters = 100;

// RFC 3986 section 2.3
bool is_parameter_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || !(is_lower(name.front()) || name.front() == '_')) return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return is_lower(c) || is_digit(c) || c == '_'; });
}

} // namespace

std::optional<Template> parse_template(std::string_view text, std::string &error) {
    const auto refuse = [&](const char *why) {
        error = why;
        return std::nullopt;
    };
    if (text.empty() || text.front() != '/') return refuse("path must start with /");
    if (text.size() > max_path) return refuse("path is too long");
    Template path;
    if (text == "/") return path;
    for (std::size_t at = 1; at <= text.size();) {
        const std::size_t end = std::min(text.find('/', at), text.size());
        const std::string_view segment = text.substr(at, end - at);
        at = end + 1;
        if (segment.empty()) return refuse("path must not have empty segments or a slash at its end");
        if (path.size() == max_segments) return refuse("path has too many segments");
        if (segment.front() == '{') {
            const std::size_t close = std::min(segment.find('}'), segment.size() - 1);
            const std::string_view name = segment.substr(1, close - 1), suffix = segment.substr(close + 1);
            if (segment[close] != '}' || !is_parameter_name(name) ||
                (!suffix.empty() && (suffix.size() < 2 || suffix.front() != '.')) ||
                !std::all_of(suffix.begin(), suffix.end(), is_unreserved))
                return refuse("a parameter must be a whole segment {name} of a-z, 0-9 and _, or all of it before a "
                              "suffix like .txt");
            if (std::any_of(path.begin(), path.end(),
                            [&](const Segment &s) { return s.is_parameter && s.text == name; }))
                return refuse("the parameters of a path must differ");
            path.push_back({true, std::string(name), std::string(suffix)});
        } else {
            if (!std::all_of(segment.begin(), segment.end(), is_unreserved) || segment == "." || segment == "..")
                return refuse("literal segments have letters, digits and - . _ ~ only");
            path.push_back({false, std::string(segment), {}});
        }
    }
    return path;
}

std::string shape(const Template &path) {
    std::string out;
    for (const Segment &segment : path) out += segment.is_parameter ? "/{}" + segment.suffix : "/" + segment.text;
    return out.empty() ? "/" : out;
}

bool is_route_method(std::string_view method) {
    return std::find(route_methods.begin(), route_methods.end(), method) != route_methods.end();
}

bool is_known_method(std::string_view method) {
    return is_route_method(method) || method == "HEAD" || method == "OPTIONS";
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int byte = percent_decoded(text, i);
            if (byte < 0) return std::nullopt;
            c = static_cast<char>(byte);
            i += 2;
        }
        if (c == '\0') return std::nullopt;
        out.push_back(c);
    }
    if (!is_valid_utf8(out)) return std::nullopt;
    return out;
}

std::optional<std::vector<std::string>> split_path(std::string_view path) {
    if (path.empty() || path.front() != '/' || path.size() > max_path) return std::nullopt;
    std::vector<std::string> segments;
    if (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    if (path == "/") return segments;
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        auto segment = percent_decode(path.substr(at, end - at));
        if (!segment) return std::nullopt;
        segments.push_back(std::move(*segment));
        at = end + 1;
    }
    return segments;
}

void Table::add(std::string_view method, const Template &path, std::size_t route) {
    Node *node = &root_;
    for (const Segment &segment : path) {
        std::unique_ptr<Node> &child =
            segment.is_parameter ? node->parameters[segment.suffix] : node->literals[segment.text];
        if (!child) child = std::make_unique<Node>();
        node = child.get();
    }
    node->methods.emplace(method, route);
}

// A tree: no node is looked at twice, so a request costs at most as many steps as the routes have segments.
void Table::search(const Node &node, std::string_view method, const std::vector<std::string> &segments,
                   std::size_t depth, Match &match) {
    if (match.route) return;
    if (depth == segments.size()) {
        for (const auto &[name, route] : node.methods) match.allow.push_back(name);
        if (const auto found = node.methods.find(method); found != node.methods.end()) match.route = found->second;
        return;
    }
    const std::string &segment = segments[depth];
    if (const auto found = node.literals.find(segment); found != node.literals.end())
        search(*found->second, method, segments, depth + 1, match);
    for (const auto &[suffix, parameter] : node.parameters)
        if (segment.size() > suffix.size() && segment.ends_with(suffix))
            search(*parameter, method, segments, depth + 1, match);
}

Match Table::find(std::string_view method, const std::vector<std::string> &segments) const {
    Match match;
    if (segments.size() > max_segments) return match;
    search(root_, method == "HEAD" ? "GET" : method, segments, 0, match);
    if (match.path_exists()) {
        if (std::find(match.allow.begin(), match.allow.end(), "GET") != match.allow.end())
            match.allow.emplace_back("HEAD");
        match.allow.emplace_back("OPTIONS");
        std::sort(match.allow.begin(), match.allow.end());
        match.allow.erase(std::unique(match.allow.begin(), match.allow.end()), match.allow.end());
    }
    return match;
}

std::optional<std::vector<QueryParameter>> parse_query(std::string_view query) {
    std::vector<QueryParameter> parameters;
    if (query.size() > max_query) return std::nullopt;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string part = [&] {
            std::string text(query.substr(0, end));
            std::replace(text.begin(), text.end(), '+', ' ');
            return text;
        }();
        query.remove_prefix(std::min(end + 1, query.size()));
        if (part.empty()) continue;
        const std::size_t equals = std::min(part.find('='), part.size());
        auto name = percent_decode(std::string_view(part).substr(0, equals));
        auto value =
            percent_decode(equals == part.size() ? std::string_view{} : std::string_view(part).substr(equals + 1));
        if (!name || name->empty() || !value || parameters.size() == max_parameters) return std::nullopt;
        parameters.push_back({std::move(*name), std::move(*value)});
    }
    return parameters;
}

} // namespace usher::route
