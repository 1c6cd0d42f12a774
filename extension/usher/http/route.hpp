// Matching a request's method and path against route templates such as /bookings/{booking_id}/confirm.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::route {

inline constexpr std::size_t max_path = 2048; // bytes of a path
inline constexpr std::size_t max_segments = 32;

struct Segment {
    bool is_parameter;
    std::string text;   // literal, decoded; or name of the parameter
    std::string suffix; // literal after a parameter, as in {booking_id}.ics
    /// What of a request's segment is the parameter.
    [[nodiscard]] std::string_view value(std::string_view segment) const {
        return segment.substr(0, segment.size() - suffix.size());
    }
};
using Template = std::vector<Segment>; // "/" has none

/// Literal segments of unreserved characters and parameters {name}, which stand for one whole segment, or for all of it
/// before a suffix that begins with a dot, and differ from each other. Nothing, with the reason in `error`, when it is
/// no template.
std::optional<Template> parse_template(std::string_view text, std::string &error);

/// The template without the parameters' names, "/bookings/{}/confirm": two routes of one method with the same shape
/// collide.
std::string shape(const Template &path);

/// The methods that routes can have. HEAD is answered by GET, OPTIONS by the table itself.
bool is_route_method(std::string_view method);
/// Those and HEAD, OPTIONS; any other is not implemented (501).
bool is_known_method(std::string_view method);

/// Percent-decodes once; nothing for a broken escape, U+0000, or text that is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text);

/// The decoded segments of a path; a slash at the end makes no difference. Nothing when the path is malformed.
std::optional<std::vector<std::string>> split_path(std::string_view path);

struct Match {
    std::optional<std::size_t> route; // nothing: no route has this path (allow is empty) or this method
    std::vector<std::string> allow;   // methods of the path, sorted, for the Allow header
    [[nodiscard]] bool path_exists() const { return !allow.empty(); }
};

/// Finds the route of a request. Literals win over parameters, those with a suffix over those without, segment by
/// segment from the left, as long as the method fits.
class Table {
public:
    /// The route number `route` (any number of the caller's) answers `method` on `path`.
    void add(std::string_view method, const Template &path, std::size_t route);
    [[nodiscard]] Match find(std::string_view method, const std::vector<std::string> &segments) const;

private:
    struct Node {
        std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
        std::map<std::string, std::unique_ptr<Node>, std::greater<>> parameters; // by suffix, the empty one last
        std::map<std::string, std::size_t, std::less<>> methods;
    };
    static void search(const Node &node, std::string_view method, const std::vector<std::string> &segments,
                       std::size_t depth, Match &match);
    Node root_;
};

/// A parameter of a query string, decoded: "+" is a space.
struct QueryParameter {
    std::string name, value;
};
/// Nothing when it is malformed, is longer than 8 kB or has more than 100 parameters.
std::optional<std::vector<QueryParameter>> parse_query(std::string_view query);

} // namespace usher::route
