// usher.http_request(): one request from its route to its answer, inside the transaction of the gateway's one
// statement.
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/session_scope.hpp"
#include "pg/xact.hpp"
#include "usher/http/admission.hpp"
#include "usher/http/call.hpp"
#include "usher/http/request_headers.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::http {

namespace {
std::string join(const std::vector<std::string> &words) {
    std::string out;
    for (const std::string &word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

Answer handle(Request &request) {
    set_context(request);
    if (!route::is_known_method(request.method)) return refuse(request, problem(errc::not_implemented));
    const auto segments = route::split_path(request.path);
    if (!segments) return refuse(request, problem(errc::malformed_request, "the path is malformed or too long"));
    const std::shared_ptr<Routes> all = routes();
    const route::Match match = all->table.find(request.method, *segments);
    if (!match.path_exists()) return refuse(request, problem(errc::not_found));
    if (request.method == "OPTIONS") {
        Answer answer;
        answer.status = 204;
        answer.add("Allow", join(match.allow));
        return answer;
    }
    if (!match.route) {
        Answer answer = refuse(request, problem(errc::method_not_allowed));
        answer.add("Allow", join(match.allow));
        return answer;
    }
    Route &route = *all->list[*match.route];
    request.route = &route;
    request.routes = all;

    Answer limits; // its headers go with whatever the answer is
    std::optional<Answer> ended = admit(request, route);
    if (!ended) ended = limit(request, route, limits);
    Answer answer = ended ? std::move(*ended) : call_function(request, route, *segments);
    for (auto &header : limits.headers) answer.headers.push_back(std::move(header));
    const bool may_be_kept = answer.status < 300 || answer.status == 304;
    if (may_be_kept && !route.cache_control.empty()) answer.add("Cache-Control", route.cache_control);
    if (!route.deprecation.empty()) answer.add("Deprecation", route.deprecation);
    if (!route.sunset.empty()) answer.add("Sunset", route.sunset);
    answer.add("usher-route", route.path_template); // for the gateway's metrics and log: it does not send it
    return answer;
}

Answer answer_to(Request &request) {
    Answer answer;
    try {
        answer = handle(request);
    } catch (
        const Error &e) { // of our own code before the call, such as a policy that does not exist; nothing is half done
        const Problem made =
            problem_of(e.sqlstate(), e.what(), e.detail(), request::current() != nullptr, pg::began_in_recovery());
        if (made.is_fault) log_fault(request, e.sqlstate().c_str(), e.what());
        answer = refuse(request, made);
    }
    // Answers are for one client and change: nobody keeps them unless the route says so.
    if (!answer.has("Cache-Control")) answer.add("Cache-Control", "no-store");
    answer.add("X-Correlation-Id", request.correlation_id);
    return answer;
}

std::string headers_json(const Answer &answer) {
    std::string out = "[";
    for (const auto &[name, value] : answer.headers) {
        if (out.size() > 1) out += ',';
        out += '[' + json::quote(name) + ',' + json::quote(value) + ']';
    }
    return out + ']';
}
} // namespace

} // namespace usher::http

using namespace usher;

/// usher.http_request(method, path, query, headers, body, client_ip)
USHER_FUNCTION(usher_http_request) {
    const pg::Args args(fcinfo);
    if (GetDatabaseEncoding() != PG_UTF8)
        throw Error(errc::not_configured, "HTTP requests need a database with encoding UTF8");
    http::Request request;
    request.method = args.text(0);
    request.path = args.text(1);
    request.query = args.optional_text(2).value_or("");
    request.headers_text = args.optional_output(3).value_or("{}");
    request.body = args.optional_text(4).value_or("");
    request.client_ip = args.optional_output(5).value_or("");
    if (!request.headers_document.parse(request.headers_text) || !request.headers_document.root().is_object())
        throw Error(errc::invalid_argument, "headers must be a JSON object of lower-case names and values");
    pg::SessionScope session;
    http::Answer answer = http::answer_to(request);
    if (!session.undo()) {
        http::log_fault(request, "25000", "the session keeps something of this request and should end");
        answer.add("usher-session", "spoiled"); // for the gateway, which gives the connection up
    }
    const std::string headers = http::headers_json(answer);
    pg::RowBuilder row(fcinfo);
    row.set("status", pg::int4(answer.status)).set("headers", pg::jsonb(headers)).set("body", pg::text(answer.body));
    return row.finish();
}
