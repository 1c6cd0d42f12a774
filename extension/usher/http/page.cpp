#include "usher/http/page.hpp"
#include "common/encoding.hpp"
#include "common/json.hpp"

namespace usher::http {

bool open_cursor(const Function &function, std::vector<route::QueryParameter> &query, std::vector<FieldError> &errors) {
    if (function.page.empty()) return true;
    const auto refuse = [&](std::string_view code, const char *why) {
        errors.push_back({"cursor", "query", code, why});
        return false;
    };
    const auto is_cursor = [](const route::QueryParameter &p) { return p.name == "cursor"; };
    const auto found = std::find_if(query.begin(), query.end(), is_cursor);
    if (found == query.end()) return true;
    const auto text = base64url_decode(found->value);
    query.erase(found);
    if (std::any_of(query.begin(), query.end(), is_cursor)) return refuse("repeated", "was given more than once");
    json::Document key;
    if (!text || !key.parse(*text) || !key.root().is_array() || key.root().size() != function.page.size())
        return refuse("invalid", "is not the next of an earlier answer");
    std::size_t part = 0;
    for (const json::Member member : key.root().members()) {
        if (!member.value.is_string()) return refuse("invalid", "is not the next of an earlier answer");
        query.push_back({function.arguments[function.page[part++].argument].name, member.value.as_string()});
    }
    return true;
}

std::string make_cursor(std::string_view key) { return base64url_encode(key); }

namespace {
// What may not stand in a URI, and what could end the link, is percent-encoded.
std::string safe(std::string_view uri) {
    std::string out;
    for (const char c : uri) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && std::string_view("<>\"{}|\\^`").find(c) == std::string_view::npos) {
            out += c;
        } else {
            append_percent_encoded(out, c);
        }
    }
    return out;
}
} // namespace

std::string next_link(std::string_view path, std::string_view query, std::string_view cursor) {
    std::string out = '<' + safe(path) + '?';
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view part = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (!part.empty() && !part.starts_with("cursor=")) out += safe(part) + '&';
    }
    return out + "cursor=" + std::string(cursor) + ">; rel=\"next\"";
}

} // namespace usher::http
