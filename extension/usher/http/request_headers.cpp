#include "usher/http/request_headers.hpp"
#include "common/encoding.hpp"
#include "common/text.hpp"
#include <algorithm>

namespace usher::headers {

namespace {
bool is_token_character(char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/';
}
bool is_all_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

bool starts_with_scheme(std::string_view value, std::string_view scheme) {
    return equal_ignoring_case(value.substr(0, scheme.size()), scheme);
}

struct EntityTag {
    bool is_weak;
    std::string_view quoted; // with its quotes
};

// RFC 9110 section 8.8.3: a comma may stand within a tag, and between two of them any number. Nothing when it is no
// list, or an empty one.
std::optional<std::vector<EntityTag>> parse_tags(std::string_view list) {
    std::vector<EntityTag> tags;
    for (bool needs_comma = false;;) {
        list.remove_prefix(std::min(list.find_first_not_of(header_space), list.size()));
        if (list.empty()) break;
        if (list.front() == ',') {
            list.remove_prefix(1);
            needs_comma = false;
            continue;
        }
        const bool is_weak = list.starts_with("W/");
        if (is_weak) list.remove_prefix(2);
        if (needs_comma || list.empty() || list.front() != '"') return std::nullopt;
        const std::size_t end = list.find('"', 1);
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view quoted = list.substr(0, end + 1);
        if (std::any_of(quoted.begin(), quoted.end(), [](char c) { return c == ' ' || is_control(c); }))
            return std::nullopt;
        tags.push_back({is_weak, quoted});
        list.remove_prefix(end + 1);
        needs_comma = true;
    }
    if (tags.empty()) return std::nullopt;
    return tags;
}

} // namespace

Authorization parse_authorization(std::string_view value) {
    value = trim(value, header_space);
    if (value.empty()) return {};
    constexpr std::string_view scheme = "bearer";
    if (!starts_with_scheme(value, scheme) ||
        (value.size() > scheme.size() && is_token_character(value[scheme.size()])))
        return {Credentials::other, {}};
    if (value.size() == scheme.size() || value[scheme.size()] != ' ') return {Credentials::malformed, {}};
    value.remove_prefix(std::min(value.find_first_not_of(' ', scheme.size()), value.size()));
    std::string_view body = value;
    while (!body.empty() && body.back() == '=') body.remove_suffix(1); // padding stands at the end only
    if (body.empty() || !std::all_of(body.begin(), body.end(), is_token_character)) return {Credentials::malformed, {}};
    return {Credentials::bearer, value};
}

std::optional<Basic> parse_basic(std::string_view value) {
    constexpr std::string_view scheme = "basic ";
    value = trim(value, header_space);
    if (!starts_with_scheme(value, scheme)) return std::nullopt;
    const auto decoded = base64_decode(trim(value.substr(scheme.size()), header_space));
    if (!decoded) return std::nullopt;
    const std::size_t colon = decoded->find(':');
    if (colon == std::string::npos) return std::nullopt;
    return Basic{decoded->substr(0, colon), decoded->substr(colon + 1)};
}

std::optional<std::string_view> cookie(std::string_view header, std::string_view name) {
    while (!header.empty()) {
        const std::size_t end = std::min(header.find(';'), header.size());
        const std::string_view pair = trim(header.substr(0, end), header_space);
        header.remove_prefix(std::min(end + 1, header.size()));
        if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
            std::string_view value = pair.substr(name.size() + 1);
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                value = value.substr(1, value.size() - 2);
            return value;
        }
    }
    return std::nullopt;
}

bool is_json_type(std::string_view content_type) {
    const std::string_view type = trim(content_type.substr(0, content_type.find(';')), header_space);
    constexpr std::string_view family = "application/", suffix = "+json";
    if (equal_ignoring_case(type, "application/json")) return true;
    return type.size() > family.size() + suffix.size() && equal_ignoring_case(type.substr(0, family.size()), family) &&
           equal_ignoring_case(type.substr(type.size() - suffix.size()), suffix);
}

Precondition parse_precondition(std::string_view if_match, std::string_view if_none_match) {
    using Kind = Precondition::Kind;
    if_match = trim(if_match, header_space);
    if_none_match = trim(if_none_match, header_space);
    if (if_match.empty() && if_none_match.empty()) return {};
    if (if_match.empty()) return {if_none_match == "*" ? Kind::absent : Kind::malformed, {}};
    if (!if_none_match.empty()) return {Kind::malformed, {}};
    if (if_match == "*") return {Kind::any, {}};
    const auto tags = parse_tags(if_match);
    if (!tags) return {Kind::malformed, {}};
    Precondition condition{Kind::versions, {}};
    for (const EntityTag &tag : *tags) {
        std::string version(tag.quoted.substr(1, tag.quoted.size() - 2));
        const bool is_number = !version.empty() && version.size() < 10 &&
                               std::all_of(version.begin(), version.end(), is_digit) &&
                               (version.size() == 1 || version.front() != '0');
        if (tag.is_weak || !is_number) continue;
        if (condition.versions.size() == Precondition::max_versions) return {Kind::malformed, {}};
        condition.versions.push_back(std::move(version));
    }
    return condition;
}

std::optional<std::string_view> idempotency_key(std::string_view value) {
    value = trim(value, header_space);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (value.empty() || value.size() > 255 ||
        !std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '"'; }))
        return std::nullopt;
    return value;
}

std::optional<std::string_view> trace_id(std::string_view value) {
    // version(2) - trace-id(32) - parent-id(16) - flags(2)
    if (value.size() < 55 || value[2] != '-' || value[35] != '-' || value[52] != '-') return std::nullopt;
    const std::string_view version = value.substr(0, 2), id = value.substr(3, 32), parent = value.substr(36, 16),
                           flags = value.substr(53, 2);
    if (!is_lower_hex(version) || !is_lower_hex(id) || !is_lower_hex(parent) || !is_lower_hex(flags))
        return std::nullopt;
    if (version == "ff" || is_all_zero(id) || is_all_zero(parent)) return std::nullopt;
    if (value.size() > 55 && (version == "00" || value[55] != '-')) return std::nullopt;
    return id;
}

bool is_correlation_id(std::string_view value) {
    return !value.empty() && value.size() <= 128 && std::all_of(value.begin(), value.end(), [](char c) {
        return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
    });
}

std::string clean_user_agent(std::string_view value) {
    std::string out;
    for (const char c : value.substr(0, 512))
        if (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') out.push_back(c);
    if (value.size() > 512) { // do not leave half a character at the end
        while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
        if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.pop_back();
    }
    return out;
}

bool names_tag(std::string_view if_none_match, std::string_view tag) {
    if (trim(if_none_match, header_space) == "*") return true;
    const auto tags = parse_tags(if_none_match);
    return tags && std::any_of(tags->begin(), tags->end(), [&](const EntityTag &t) { return t.quoted == tag; });
}

} // namespace usher::headers
