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

bool has_form(const Request &request) {
    const std::string type = request.header("content-type");
    return pg_strcasecmp(std::string(essence(type)).c_str(), "application/x-www-form-urlencoded") == 0;
}

/// Of a Basic header. Both parts are form-encoded before they are put together.
std::optional<ClientCredentials> read_basic(std::string_view authorization) {
    const auto decode = [](std::string text) {
        std::replace(text.begin(), text.end(), '+', ' ');
        return route::percent_decode(text);
    };
    const auto basic = headers::parse_basic(authorization);
    const auto user = basic ? decode(basic->user) : std::nullopt;
    const auto password = basic ? decode(basic->password) : std::nullopt;
    if (!user || !password) return std::nullopt;
    return ClientCredentials{*user, *password};
}
} // namespace

std::optional<ClientCredentials> client_credentials(const Request &request) {
    const std::string authorization = request.header("authorization");
    if (headers::parse_authorization(authorization).kind == headers::Credentials::other)
        return read_basic(authorization).value_or(ClientCredentials{});
    const auto parameters = has_form(request) ? route::parse_query(request.body) : std::nullopt;
    if (!parameters) return std::nullopt;
    std::optional<ClientCredentials> found;
    for (const auto &each : *parameters)
        if (each.name == "client_secret") found.emplace().secret = each.value;
    for (const auto &each : *parameters)
        if (found && each.name == "client_id") found->id = each.value;
    return found;
}

std::optional<Answer> read_form(const Request &request, const Function &function, std::string &body) {
    const auto malformed = [&](const char *why) { return refuse(request, problem(errc::invalid_request, why)); };
    if (!has_form(request)) return malformed("the body must be application/x-www-form-urlencoded");
    auto parameters = route::parse_query(request.body);
    if (!parameters) return malformed("the form is malformed or too long");

    std::set<std::string> names;
    for (const auto &each : *parameters)
        if (!names.insert(each.name).second) return malformed("a parameter is repeated");
    const std::string authorization = request.header("authorization");
    if (headers::parse_authorization(authorization).kind == headers::Credentials::other) {
        const auto basic = read_basic(authorization);
        if (!basic) return challenge(request, problem(errc::invalid_client), {});
        if (names.contains("client_secret")) return malformed("the client's credentials are given twice");
        std::erase_if(*parameters, [](const auto &p) { return p.name == "client_id"; });
        parameters->push_back({"client_id", basic->id});
        parameters->push_back({"client_secret", basic->secret});
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
