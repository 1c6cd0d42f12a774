#include "usher/http/call.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "pg/args.hpp"
#include "pg/xact.hpp"
#include "usher/http/arguments.hpp"
#include "usher/http/cookies.hpp"
#include "usher/http/idempotency.hpp"
#include "usher/http/oauth.hpp"
#include "usher/http/output.hpp"
#include "usher/http/page.hpp"
#include "usher/http/request_headers.hpp"
#include "usher/operations/settings.hpp"
#include "usher/registration/registered_errors.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::http {

namespace {
bool may_execute(Oid function) {
    return pg::call([&] { return pg::may_execute(function, GetUserId()); });
}

/// What a repeated or conditional request needs to know of a body without a version.
std::string digest_tag(std::string_view body) { return '"' + base64url_encode(sha256_bytes(body).substr(0, 16)) + '"'; }

void add_next(const Request &request, const Output &output, Answer &answer) {
    if (!output.has_more || output.last_key == nullptr) {
        answer.body += ",\"next\":null";
        return;
    }
    const std::string cursor = make_cursor(output.last_key);
    answer.body += ",\"next\":" + json::quote(cursor);
    answer.add("Link", next_link(request.path, request.query, cursor));
}

/// Functions that change something say by false that there was nothing to change. One that is only asked may say so,
/// too, and so may one of a path without ids, where nothing was named that could be missing; DELETE always names it.
bool says_missing(const Route &route, const Output &output) {
    const bool names_something = route.method == "DELETE" || route.path_template.find('{') != std::string::npos;
    return output.is_false && route.method != "GET" && names_something;
}

Answer succeed(const Request &request, const Route &route, const Function &function, const Output &output) {
    Answer answer;
    if (output.error != nullptr) {
        const ErrorCode *const code = registration::find_error(output.error);
        Problem refusal = problem(code == nullptr ? errc::conflict : *code);
        refusal.code = output.error;
        refusal.retry_after = output.retry_after == 0 && refusal.code == errc::busy.name ? 1 : output.retry_after;
        if (output.details != nullptr) refusal.extra = output.details;
        if (refusal.code == errc::password_too_short.name && refusal.extra.empty())
            refusal.extra = R"({"min_length":)" + std::to_string(guc::password_min_length) + '}';
        if (refusal.status == 401) return challenge(request, refusal, {});
        return refuse(request, refusal);
    }
    if (output.is_empty || says_missing(route, output)) return refuse(request, problem(errc::not_found));
    const bool is_void = function.result == Result::nothing;
    answer.status = is_void && route.success_status == 200 && !route.is_oauth ? 204 : route.success_status;
    // a logout, or a change that ended the session: the browser may forget it
    if (request.by_cookie && request::current() == nullptr) clear_cookies(answer);
    if (is_void || answer.status == 204) return answer; // no content
    const bool is_text = function.media_type.starts_with("text/");
    answer.add("Content-Type", function.result != Result::file
                                   ? "application/json"
                                   : function.media_type + (is_text ? "; charset=utf-8" : ""));
    answer.body = output.json;
    if (output.is_replayed && function.find("idempotency_key") != nullptr) answer.add("Idempotency-Replayed", "true");
    if (output.access_token != nullptr) {
        set_cookies(answer, output.access_token, output.refresh_token == nullptr ? "" : output.refresh_token,
                    output.expires_in);
        answer.body.pop_back();
        answer.body += std::string(answer.body.size() > 1 ? "," : "") +
                       "\"csrf_token\":" + json::quote(csrf_token(output.access_token)) + '}';
    }
    if (function.result == Result::rows) {
        if (!function.page.empty()) add_next(request, output, answer);
        answer.body += '}';
    }
    if (route.is_oauth) answer.add("Pragma", "no-cache"); // RFC 6749 section 5.1
    // Kept copies can be checked: by the row's version, or, where the route lets answers be kept, by a digest.
    std::string tag;
    if (output.version != nullptr)
        tag = '"' + std::string(output.version) + '"';
    else if (route.method == "GET" && !route.cache_control.empty())
        tag = digest_tag(answer.body);
    if (tag.empty()) return answer;
    answer.add("ETag", tag);
    if (route.method == "GET" && headers::names_tag(request.header("if-none-match"), tag)) {
        answer.status = 304;
        answer.body.clear();
        std::erase_if(answer.headers, [](const auto &h) { return h.first == "Content-Type"; });
    }
    return answer;
}

/// If-Match and If-None-Match of a request that writes, for functions with an argument expected_version: the values
/// that it may have, one after the other; "" stands for none. An answer when the condition fails already.
std::optional<Answer> check_precondition(const Request &request, const Route &route, const Function &function,
                                         std::vector<std::string> &versions) {
    versions.assign(1, "");
    if (route.method == "GET") return std::nullopt;
    headers::Precondition condition =
        headers::parse_precondition(request.header("if-match"), request.header("if-none-match"));
    using Kind = headers::Precondition::Kind;
    switch (condition.kind) {
    case Kind::none:
        if (route.requires_if_match) return refuse(request, problem(errc::precondition_required));
        return std::nullopt;
    case Kind::any: return std::nullopt;
    case Kind::malformed:
        return refuse(request, problem(errc::malformed_request,
                                       "If-Match must be a list of at most 8 entity tags, or If-None-Match be *"));
    case Kind::absent: condition.versions = {"0"}; break;
    case Kind::versions: break;
    }
    if (function.find("expected_version") == nullptr || condition.versions.empty()) // no tag of ours
        return refuse(request, problem(errc::stale_version));
    versions = std::move(condition.versions);
    return std::nullopt;
}

/// Whether the answer is kept under the request's Idempotency-Key. Functions with an argument idempotency_key see to
/// that themselves; answers with tokens are not stored.
bool keeps_answer(const Route &route, const Function &function) {
    return route.idempotency != Idempotency::none && !function.shows_secrets &&
           function.find("idempotency_key") == nullptr;
}

/// Whose value it was, down to the field of a row and the element of an array: "pair.x[1]".
std::string name_of(const Argument &argument, const Reading &reading) {
    std::string name = argument.name;
    for (std::size_t i = 0; i < reading.depth; ++i) {
        const auto &[field, element] = reading.path[i];
        name += field != nullptr ? '.' + *field : '[' + std::to_string(element) + ']';
    }
    return name;
}

/// An ERROR of the function, or of a value on its way to it.
Answer explain(const Request &request, const pg::Refusal &refusal, const Argument *argument, const Reading &reading,
               std::string_view in) {
    const std::string sqlstate = refusal.sqlstate();
    const std::string_view message = refusal.error->message == nullptr ? "" : refusal.error->message;
    // 42 and 3F: types such as regclass look names up
    constexpr std::array<std::string_view, 4> classes{"22", "23", "3F", "42"};
    const bool is_value = std::any_of(classes.begin(), classes.end(), [&](auto c) { return sqlstate.starts_with(c); });
    if (argument != nullptr && is_value) {
        Problem invalid = problem(errc::invalid_arguments);
        invalid.errors.push_back({name_of(*argument, reading), in, "invalid", "is not a valid " + reading.type->name});
        return refuse(request, invalid);
    }
    const Problem made = problem_of(sqlstate, message, refusal.error->detail == nullptr ? "" : refusal.error->detail,
                                    request::current() != nullptr, pg::began_in_recovery());
    if (made.is_fault) log_fault(request, sqlstate.c_str(), std::string(message).c_str());
    // RFC 9470: the token is good, but the session must be raised first.
    if (made.code == errc::insufficient_user_authentication.name) return challenge(request, made, made.code);
    if (made.status == 401) return challenge(request, made, {});
    return refuse(request, made);
}

/// Cancels the statement when the function takes longer than its route allows. The server's statement_timeout stays in
/// force where it comes first, and is what counts again afterwards.
class Deadline {
public:
    explicit Deadline(int timeout_ms) : is_ours_(timeout_ms > 0) {
        if (!is_ours_) return;
        const TimestampTz wanted = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
        has_earlier_ = get_timeout_active(STATEMENT_TIMEOUT);
        earlier_ = has_earlier_ ? get_timeout_finish_time(STATEMENT_TIMEOUT) : 0;
        is_ours_ = !has_earlier_ || wanted < earlier_;
        if (is_ours_) pg::call([&] { enable_timeout_at(STATEMENT_TIMEOUT, wanted); });
    }
    ~Deadline() { // neither can fail: the timer has been set before
        // when it has just fired, the cancel that is on its way says why, unless the timer is set again
        if (!is_ours_ || get_timeout_indicator(STATEMENT_TIMEOUT, false)) return;
        if (has_earlier_)
            enable_timeout_at(STATEMENT_TIMEOUT, earlier_);
        else
            disable_timeout(STATEMENT_TIMEOUT, true);
    }
    Deadline(const Deadline &) = delete;
    Deadline &operator=(const Deadline &) = delete;

private:
    bool is_ours_, has_earlier_ = false;
    TimestampTz earlier_ = 0;
};

/// The arguments of a call as the server has them.
struct Values {
    std::array<Datum, max_arguments> values{};
    std::array<bool, max_arguments> nulls{}, given{};

    void set(const Function &function, const Bound &bound, Reading &reading) {
        values[bound.argument] =
            pg::call([&] { return to_datum(function.arguments[bound.argument].value, bound.given, reading); });
        nulls[bound.argument] = bound.given.is_null;
        given[bound.argument] = true;
    }
};

Output execute(const Function &function, const Values &arguments, const Style &style) {
    return pg::call([&] {
        ResultRows rows(function, arguments.values.data(), arguments.nulls.data(), arguments.given.data());
        const Output output = make_output(function, rows, style);
        rows.close();
        return output;
    });
}

Bound max_rows(const Function &function, std::int64_t rows) {
    const auto place = static_cast<std::size_t>(function.find("max_rows") - function.arguments.data());
    return {place, "query", {false, std::to_string(rows), {}}};
}

/// A page that is not full is the last, unless the function hands out fewer rows at a time than it was asked for, which
/// it hardly does below its own default. When it has never handed out more than now, whether anything follows is asked.
bool is_followed(Route &route, const Function &function, Values arguments, const Output &output) {
    const bool may_be_cut =
        output.rows >= route.most_rows && output.rows >= static_cast<std::uint64_t>(function.default_page_size);
    route.most_rows = std::max(route.most_rows, output.rows + (output.has_more ? 1 : 0));
    if (output.has_more || output.last_key == nullptr || !may_be_cut || route.method != "GET") return output.has_more;
    json::Document key;
    if (!key.parse(output.last_key)) return false;
    Reading place;
    auto part = function.page.begin();
    for (const json::Member member : key.root().members())
        arguments.set(function, {(part++)->argument, "query", {false, member.value.as_string(), {}}}, place);
    arguments.set(function, max_rows(function, 1), place);
    return execute(function, arguments, {false, false, false, 0}).rows > 0;
}

/// page_size: of a function that makes pages, else 0.
Answer call(const Request &request, Route &route, const Function &function, const std::vector<Bound> &bound,
            std::int64_t page_size) {
    Values arguments;
    Output output;
    Reading place;
    const Bound *reading = nullptr;
    const Style style{true, request.wants_cookies(), route.is_oauth, page_size};
    const Deadline deadline(route.timeout_ms);
    const pg::Refusal refusal = pg::attempt([&] {
        if (route.read_only) XactReadOnly = true; // the end of the subtransaction takes it back
        for (const Bound &each : bound) {
            reading = &each;
            arguments.set(function, each, place);
        }
        reading = nullptr;
        output = execute(function, arguments, style);
        if (page_size > 0) output.has_more = is_followed(route, function, arguments, output);
    });
    if (!refusal) return succeed(request, route, function, output);
    if (reading == nullptr) return explain(request, refusal, nullptr, place, {});
    return explain(request, refusal, &function.arguments[reading->argument], place, reading->in);
}

/// How many rows the page shall have, 0 for functions that make none. The function is asked for one more, which tells
/// whether there is a next page.
std::int64_t take_page_size(const Function &function, std::vector<Bound> &bound, std::vector<FieldError> &errors) {
    if (function.page.empty()) return 0;
    std::int64_t size = function.default_page_size;
    const auto is_size = [&](const Bound &each) { return function.arguments[each.argument].name == "max_rows"; };
    const auto given = std::find_if(bound.begin(), bound.end(), is_size);
    if (given != bound.end() && !given->given.is_null) {
        size = std::strtoll(given->given.text.c_str(), nullptr, 10);
        if (size < 1) errors.push_back({"max_rows", given->in, "invalid", "must be at least 1"});
    }
    const std::int64_t most = guc::max_page_rows;
    size = size < 1 ? most : std::min(size, most);
    if (given != bound.end()) bound.erase(given);
    bound.push_back(max_rows(function, size + 1));
    return size;
}
} // namespace

Answer call_function(const Request &request, Route &route, const std::vector<std::string> &segments) {
    const std::shared_ptr<const Function> described = route.function();
    const Function &function = *described;
    if (!may_execute(function.oid)) {
        log_fault(request, "42501", ("permission denied for the routed function " + function.name).c_str());
        return refuse(request, problem(errc::internal_error));
    }
    auto query = route::parse_query(request.query);
    if (!query) return refuse(request, problem(errc::malformed_request, "the query string is malformed or too long"));

    std::string form;
    std::string_view body = route.method == "GET" ? std::string_view{} : request.body;
    if (route.is_raw) { // whoever signs a request signs its bytes
        form =
            R"({"request_body":)" + json::quote(request.body) + R"(,"request_headers":)" + request.headers_text + "}";
        body = form;
    } else if (route.is_oauth && route.method == "POST") {
        if (auto refused = read_form(request, function, form)) return *refused;
        body = form;
    } else if (!body.empty() && !headers::is_json_type(request.header("content-type"))) {
        return refuse(request, problem(errc::unsupported_media_type));
    }

    std::vector<std::string> versions;
    if (auto refused = check_precondition(request, route, function, versions)) return *refused;
    const std::string given_key = request.header("idempotency-key");
    const auto key = headers::idempotency_key(given_key);
    if (!given_key.empty() && !key)
        return refuse(request, problem(errc::malformed_request, "Idempotency-Key must be 1 to 255 visible characters"));
    if (!key && route.idempotency == Idempotency::required)
        return refuse(request, problem(errc::idempotency_key_required));

    const std::string cookies = request.header("cookie");
    const auto refresh = request.wants_cookies() ? headers::cookie(cookies, refresh_cookie) : std::nullopt;
    Problem invalid = problem(errc::invalid_arguments);
    (void)open_cursor(function, *query, invalid.errors);
    Answer answer;
    StoredAnswer stored;
    for (const std::string &version : versions) {
        std::vector<Bound> bound;
        std::string malformed;
        if (!collect(route, function, {segments, *query, body, key.value_or(""), version, refresh.value_or("")}, bound,
                     invalid.errors, malformed))
            return refuse(request, problem(errc::malformed_request, malformed));
        const std::int64_t page_size = take_page_size(function, bound, invalid.errors);
        if (!invalid.errors.empty()) return refuse(request, invalid);
        if (key && &version == &versions.front() && keeps_answer(route, function))
            if (auto earlier = stored.begin(request, *key)) return *earlier;
        answer = call(request, route, function, bound, page_size);
        if (answer.status != 412) break; // it was that version
    }
    stored.keep(answer);
    return answer;
}

} // namespace usher::http
