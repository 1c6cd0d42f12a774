#include "usher/http/oauth.hpp"
#include "usher/http/request_headers.hpp"
#include "usher/http/route.hpp"
#include <set>

namespace usher::http {

namespace {
std::string_view essence(std::string_view type) {
    type = type.substr(0, std::min(type.find(';'), type.size()));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    return type;
}
} // namespace

std::optional<Answer> read_form(const Request &request, const Function &function, std::string &body) {
    const auto malformed = [&](const char *why) { return refuse(request, problem(errc::invalid_request, why)); };
    const std::string type = request.header("content-type");
    if (pg_strcasecmp(std::string(essence(type)).c_str(), "application/x-www-form-urlencoded") != 0)
        return malformed("the body must be application/x-www-form-urlencoded");
    auto parameters = route::parse_query(request.body);
    if (!parameters) return malformed("the form is malformed or too long");

    std::set<std::string> names;
    for (const auto &each : *parameters)
        if (!names.insert(each.name).second) return malformed("a parameter is repeated");
    const std::string authorization = request.header("authorization");
    if (headers::parse_authorization(authorization).kind == headers::Credentials::other) {
        const auto basic = headers::parse_basic(authorization);
        // RFC 6749 section 2.3.1: both parts are form-encoded before they are put together
        const auto decode = [](std::string text) {
            std::replace(text.begin(), text.end(), '+', ' ');
            return route::percent_decode(text);
        };
        const auto user = basic ? decode(basic->user) : std::nullopt;
        const auto password = basic ? decode(basic->password) : std::nullopt;
        if (!user || !password) return challenge(request, problem(errc::invalid_client), {});
        if (names.contains("client_secret")) return malformed("the client's credentials are given twice");
        std::erase_if(*parameters, [](const auto &p) { return p.name == "client_id"; });
        parameters->push_back({"client_id", *user});
        parameters->push_back({"client_secret", *password});
    }

    body = "{";
    for (const auto &each : *parameters) {
        if (each.value.empty() || function.find(each.name) == nullptr) continue;
        body += (body.size() > 1 ? "," : "") + json::quote(each.name) + ':' + json::quote(each.value);
    }
    body += '}';
    return std::nullopt;
}

} // namespace usher::http
