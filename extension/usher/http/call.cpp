#include "usher/http/call.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "pg/args.hpp"
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

void add_next(const Request &request, const Output &output, std::int64_t page_size, Answer &answer) {
    const bool has_next =
        page_size > 0 && output.last_key != nullptr && output.rows >= static_cast<std::uint64_t>(page_size);
    if (!has_next) {
        answer.body += ",\"next\":null";
        return;
    }
    const std::string cursor = make_cursor(output.last_key);
    answer.body += ",\"next\":" + json::quote(cursor);
    answer.add("Link", next_link(request.path, request.query, cursor));
}

/// page_size: rows that were asked for, 0 when that is not known.
Answer succeed(const Request &request, const Route &route, const Function &function, const Output &output,
               std::int64_t page_size) {
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
    if (output.is_empty) return refuse(request, problem(errc::not_found));
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
    if (output.access_token != nullptr) {
        set_cookies(answer, output.access_token, output.refresh_token == nullptr ? "" : output.refresh_token,
                    output.expires_in);
        answer.body.pop_back();
        answer.body += std::string(answer.body.size() > 1 ? "," : "") +
                       "\"csrf_token\":" + json::quote(csrf_token(output.access_token)) + '}';
    }
    if (function.result == Result::rows) {
        if (!function.page.empty()) add_next(request, output, page_size, answer);
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
    if (route.method == "GET" && headers::contains_tag(request.header("if-none-match"), tag, true)) {
        answer.status = 304;
        answer.body.clear();
        std::erase_if(answer.headers, [](const auto &h) { return h.first == "Content-Type"; });
    }
    return answer;
}

bool has_json_body(const Request &request) {
    const std::string type = request.header("content-type");
    const std::string_view essence = std::string_view(type).substr(0, std::min(type.find(';'), type.size()));
    return pg_strncasecmp(type.c_str(), "application/json", 16) == 0 && (essence.size() == 16 || essence[16] == ' ');
}

/// If-Match, for functions with an argument expected_version. An answer when the condition fails already.
std::optional<Answer> check_precondition(const Request &request, const Route &route, const Function &function,
                                         std::string &version) {
    if (route.method == "GET") return std::nullopt;
    const std::string header = request.header("if-match");
    const headers::Precondition condition = headers::parse_if_match(header);
    const bool has_version = function.find("expected_version") != nullptr;
    switch (condition.kind) {
    case headers::Precondition::Kind::none:
        if (route.requires_if_match) return refuse(request, problem(errc::precondition_required));
        return std::nullopt;
    case headers::Precondition::Kind::any: return std::nullopt;
    case headers::Precondition::Kind::malformed:
        return refuse(request, problem(errc::malformed_request, "If-Match must be one entity tag"));
    case headers::Precondition::Kind::never: return refuse(request, problem(errc::stale_version));
    case headers::Precondition::Kind::version: break;
    }
    const bool is_number =
        !condition.tag.empty() && condition.tag.size() < 10 &&
        std::all_of(condition.tag.begin(), condition.tag.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!has_version || !is_number) return refuse(request, problem(errc::stale_version)); // no tag of ours
    version = condition.tag;
    return std::nullopt;
}

/// Whether the answer is kept under the request's Idempotency-Key. Functions with an argument idempotency_key see to
/// that themselves; answers with tokens are not stored.
bool keeps_answer(const Route &route, const Function &function) {
    return route.idempotency != Idempotency::none && !function.shows_secrets &&
           function.find("idempotency_key") == nullptr;
}

/// Whose value it was, down to the field of a row: "pair.x".
std::string name_of(const Argument &argument, const Reading &reading) {
    std::string name = argument.name;
    for (std::size_t i = 0; i < reading.depth; ++i) name += '.' + *reading.path[i];
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
                                    request::current() != nullptr);
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
        if (!is_ours_) return;
        if (has_earlier_)
            enable_timeout_at(STATEMENT_TIMEOUT, earlier_);
        else
            disable_timeout(STATEMENT_TIMEOUT, true); // when it has just fired, the cancel says why
    }
    Deadline(const Deadline &) = delete;
    Deadline &operator=(const Deadline &) = delete;

private:
    bool is_ours_, has_earlier_ = false;
    TimestampTz earlier_ = 0;
};

/// Plain frame but for `function`, which it only reads.
Output execute(const Function &function, const Datum *values, const bool *nulls, const bool *given,
               const Style &style) {
    ResultRows rows(function, values, nulls, given);
    const Output output = make_output(function, rows, style);
    rows.close();
    return output;
}

Answer call(const Request &request, const Route &route, const Function &function, const std::vector<Bound> &bound,
            std::int64_t page_size) {
    std::array<Datum, max_arguments> values{};
    std::array<bool, max_arguments> nulls{}, given{};
    Output output;
    Reading place;
    const Bound *reading = nullptr;
    const Style style{true, request.wants_cookies(), route.is_oauth};
    const Deadline deadline(route.timeout_ms);
    const pg::Refusal refusal = pg::attempt([&] {
        if (route.read_only) XactReadOnly = true; // the end of the subtransaction takes it back
        for (const Bound &each : bound) {
            reading = &each;
            given[each.argument] = true;
            nulls[each.argument] = each.given.is_null;
            values[each.argument] =
                pg::call([&] { return to_datum(function.arguments[each.argument].value, each.given, place); });
        }
        reading = nullptr;
        output = pg::call([&] { return execute(function, values.data(), nulls.data(), given.data(), style); });
    });
    if (!refusal) return succeed(request, route, function, output, page_size);
    if (reading == nullptr) return explain(request, refusal, nullptr, place, {});
    return explain(request, refusal, &function.arguments[reading->argument], place, reading->in);
}

/// max_rows as it was given, or its default.
std::int64_t page_size_of(const Function &function, const std::vector<Bound> &bound) {
    if (function.page.empty()) return 0;
    for (const Bound &each : bound)
        if (function.arguments[each.argument].name == "max_rows")
            return std::strtoll(each.given.text.c_str(), nullptr, 10);
    return function.default_page_size;
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
    } else if (!body.empty() && !has_json_body(request)) {
        return refuse(request, problem(errc::unsupported_media_type));
    }

    std::string version;
    if (auto refused = check_precondition(request, route, function, version)) return *refused;
    const std::string given_key = request.header("idempotency-key");
    const auto key = headers::idempotency_key(given_key);
    if (!given_key.empty() && !key)
        return refuse(request, problem(errc::malformed_request, "Idempotency-Key must be 1 to 255 visible characters"));
    if (!key && route.idempotency == Idempotency::required)
        return refuse(request, problem(errc::idempotency_key_required));

    std::vector<Bound> bound;
    Problem invalid = problem(errc::invalid_arguments);
    std::string malformed;
    const std::string cookies = request.header("cookie");
    const auto refresh = request.wants_cookies() ? headers::cookie(cookies, refresh_cookie) : std::nullopt;
    (void)open_cursor(function, *query, invalid.errors);
    if (!collect(route, function, {segments, *query, body, key.value_or(""), version, refresh.value_or("")}, bound,
                 invalid.errors, malformed))
        return refuse(request, problem(errc::malformed_request, malformed));
    if (!invalid.errors.empty()) return refuse(request, invalid);

    StoredAnswer stored;
    if (key && keeps_answer(route, function))
        if (auto earlier = stored.begin(request, *key)) return *earlier;
    Answer answer = call(request, route, function, bound, page_size_of(function, bound));
    stored.keep(answer);
    return answer;
}

} // namespace usher::http
