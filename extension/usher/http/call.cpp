#include "usher/http/call.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "pg/args.hpp"
#include "pg/spi.hpp"
#include "usher/http/answer_json.hpp"
#include "usher/http/arguments.hpp"
#include "usher/http/cookies.hpp"
#include "usher/http/idempotency.hpp"
#include "usher/http/oauth.hpp"
#include "usher/http/page.hpp"
#include "usher/http/request_headers.hpp"
#include "usher/operations/settings.hpp"
#include "usher/registration/registered_errors.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::http {

namespace {
struct Output {              // palloc'd, plain
    char *json = nullptr;    // the body
    char *error = nullptr;   // the result's column "error"
    char *details = nullptr; // beside an error: the columns that are not NULL, as an object
    char *version = nullptr; // of a single row, for the ETag
    std::int64_t retry_after = 0;
    // of a single row, when the tokens go into cookies
    char *access_token = nullptr, *refresh_token = nullptr;
    std::int64_t expires_in = 0;
    std::uint64_t rows = 0;
    char *last_key = nullptr; // of the last row of a page: a JSON array of strings
    bool is_empty = false;    // no row, or NULL where a document was expected
};

bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

std::int64_t as_seconds(Datum value, Oid type) {
    switch (type) {
    case INT2OID: return DatumGetInt16(value);
    case INT4OID: return DatumGetInt32(value);
    case INT8OID: return DatumGetInt64(value);
    default: return 0;
    }
}

/// How the columns of a result become members.
struct Style {
    bool is_single;   // `error` and a null `retry_after` are not part of a single row: they steer the answer
    bool to_cookies;  // tokens go into cookies, not into the body
    bool skips_nulls; // RFC 6749 section 5.1: parameters that do not apply are left out
};

/// Columns of a single row that are not members of the object. True when the column has been dealt with.
bool take_column(const char *name, Datum value, bool is_null, Oid type, const Style &style, Output &output) {
    // A column of an application's function may have one of these names and mean something else: its type tells.
    const auto is = [name](const char *other) { return std::strcmp(name, other) == 0; };
    if (is("error") && (type == TEXTOID || type == VARCHAROID)) {
        if (!is_null) output.error = TextDatumGetCString(value);
        return true;
    }
    if (is("retry_after") && is_integer(type)) {
        if (is_null) return true;
        output.retry_after = as_seconds(value, type);
    }
    if (is("version") && !is_null && is_integer(type)) output.version = psprintf(INT64_FORMAT, as_seconds(value, type));
    if (is("expires_in") && !is_null && is_integer(type)) output.expires_in = as_seconds(value, type);
    if (style.to_cookies && type == TEXTOID && (is("access_token") || is("refresh_token"))) {
        if (!is_null) (is("access_token") ? output.access_token : output.refresh_token) = TextDatumGetCString(value);
        return true;
    }
    return false;
}

void append_row(StringInfo out, HeapTuple row, TupleDesc columns, const Style &style, Output &output) {
    bool first = true;
    appendStringInfoChar(out, '{');
    for (int i = 0; i < columns->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(columns, i);
        if (column->attisdropped) continue;
        bool is_null;
        const Datum value = heap_getattr(row, i + 1, columns, &is_null);
        const char *const name = NameStr(column->attname);
        if (style.is_single && take_column(name, value, is_null, column->atttypid, style, output)) continue;
        if (is_null && style.skips_nulls) continue;
        if (!first) appendStringInfoChar(out, ',');
        first = false;
        escape_json(out, name);
        appendStringInfoChar(out, ':');
        if (is_null)
            appendStringInfoString(out, "null");
        else
            append_json(out, value, column->atttypid);
    }
    appendStringInfoChar(out, '}');
}

/// What a row says beside its `error`, a challenge for instance, as an object; nullptr when it says nothing.
char *details_of(HeapTuple row, TupleDesc columns) {
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < columns->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(columns, i);
        const char *const name = NameStr(column->attname);
        if (column->attisdropped || std::strcmp(name, "error") == 0 || std::strcmp(name, "retry_after") == 0) continue;
        bool is_null;
        const Datum value = heap_getattr(row, i + 1, columns, &is_null);
        if (is_null) continue;
        appendStringInfoChar(&out, out.len == 0 ? '{' : ',');
        escape_json(&out, name);
        appendStringInfoChar(&out, ':');
        append_json(&out, value, column->atttypid);
    }
    if (out.len == 0) return nullptr;
    appendStringInfoChar(&out, '}');
    return out.data;
}

/// Where the next page begins.
char *key_of(HeapTuple row, TupleDesc columns, const Function &function) {
    StringInfoData key;
    initStringInfo(&key);
    for (const PageKey &part : function.page) {
        const int number = SPI_fnumber(columns, part.column.c_str());
        char *const text = SPI_getvalue(row, columns, number); // nullptr for NULL: nothing follows from that
        if (text == nullptr) return nullptr;
        appendStringInfoChar(&key, key.len == 0 ? '[' : ',');
        escape_json(&key, text);
    }
    appendStringInfoChar(&key, ']');
    return key.data;
}

void append_result(StringInfo out, const Function &function, const SPITupleTable *table, const Style &style,
                   Output &output) {
    const TupleDesc columns = table->tupdesc;
    const auto append_value = [&](HeapTuple row) {
        bool is_null;
        const Datum value = heap_getattr(row, 1, columns, &is_null);
        if (is_null)
            appendStringInfoString(out, "null");
        else
            append_json(out, value, TupleDescAttr(columns, 0)->atttypid);
        return is_null;
    };
    switch (function.result) {
    case Result::nothing: return;
    case Result::document: output.is_empty = table->numvals == 0 || append_value(table->vals[0]); return;
    case Result::file:
        output.is_empty = table->numvals == 0;
        if (!output.is_empty) {
            const char *const body = SPI_getvalue(table->vals[0], columns, 1); // nullptr for NULL
            output.is_empty = body == nullptr;
            if (body != nullptr) appendStringInfoString(out, body);
        }
        return;
    case Result::scalar:
        appendStringInfoString(out, "{\"result\":");
        append_value(table->vals[0]);
        appendStringInfoChar(out, '}');
        return;
    case Result::row:
        output.is_empty = table->numvals == 0;
        if (output.is_empty) return;
        append_row(out, table->vals[0], columns, style, output);
        if (output.error != nullptr) output.details = details_of(table->vals[0], columns);
        return;
    case Result::rows:
        appendStringInfoString(out, "{\"items\":[");
        for (std::uint64_t i = 0; i < table->numvals; ++i) {
            if (i > 0) appendStringInfoChar(out, ',');
            if (function.is_named_column)
                append_row(out, table->vals[i], columns, {false, false, false}, output);
            else
                append_value(table->vals[i]);
        }
        appendStringInfoChar(out, ']'); // succeed() adds the rest
        output.rows = table->numvals;
        if (!function.page.empty() && table->numvals > 0)
            output.last_key = key_of(table->vals[table->numvals - 1], columns, function);
        return;
    }
}

/// Is it what a function of this kind returns? The function may have been replaced since it was looked at, by a CHECK
/// of an argument even.
bool is_as_described(const Function &function, const SPITupleTable *table) {
    if (function.result == Result::scalar && table->numvals != 1) return false;
    const bool reads_by_name = function.result == Result::row || function.is_named_column;
    return function.result == Result::nothing || reads_by_name || table->tupdesc->natts > 0;
}

/// Plain frame but for `function`, which it only reads.
Output execute(SPIPlanPtr plan, const Function &function, Datum *values, const char *nulls, const Style &style) {
    const MemoryContext target = CurrentMemoryContext;
    Output output;
    SPI_connect();
    const int code = SPI_execute_plan(plan, values, nulls, !function.is_volatile, 0);
    if (code != SPI_OK_SELECT) elog(ERROR, "could not execute a route: %s", SPI_result_code_string(code));
    if (!is_as_described(function, SPI_tuptable)) elog(ERROR, "the function of a route was replaced during the call");
    MemoryContextSwitchTo(target);
    StringInfoData text;
    initStringInfo(&text);
    append_result(&text, function, SPI_tuptable, style, output);
    output.json = text.data;
    SPI_finish();
    return output;
}

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

/// An ERROR of the function, or of a value on its way to it.
Answer explain(const Request &request, const pg::Refusal &refusal, const Argument *argument, std::string_view in) {
    const std::string sqlstate = refusal.sqlstate();
    const std::string_view message = refusal.error->message == nullptr ? "" : refusal.error->message;
    // 42 and 3F: types such as regclass look names up
    constexpr std::array<std::string_view, 4> classes{"22", "23", "3F", "42"};
    const bool is_value = std::any_of(classes.begin(), classes.end(), [&](auto c) { return sqlstate.starts_with(c); });
    if (argument != nullptr && is_value) {
        Problem invalid = problem(errc::invalid_arguments);
        invalid.errors.push_back({argument->name, in, "invalid", "is not a valid " + argument->type_name});
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

Answer call(const Request &request, Route &route, const Function &function, const std::vector<Bound> &bound,
            std::int64_t page_size) {
    std::uint64_t given = 0;
    for (const Bound &each : bound) given |= std::uint64_t{1} << each.argument;
    std::vector<Datum> values(bound.size());
    std::string nulls(bound.size(), ' ');
    Output output;
    std::size_t reading = 0;
    bool is_called = false;
    const Style style{true, request.wants_cookies(), route.is_oauth};
    const Deadline deadline(route.timeout_ms);
    const pg::Refusal refusal = pg::attempt([&] {
        if (route.read_only) XactReadOnly = true; // the end of the subtransaction takes it back
        for (; reading < bound.size(); ++reading) {
            const Bound &each = bound[reading];
            nulls[reading] = each.is_null ? 'n' : ' ';
            values[reading] = pg::call([&] { return to_datum(function.arguments[each.argument], each); });
        }
        is_called = true;
        const pg::Plan plan = route.plan(given);
        output = pg::call([&] { return execute(plan.get(), function, values.data(), nulls.c_str(), style); });
    });
    if (!refusal) return succeed(request, route, function, output, page_size);
    if (is_called) return explain(request, refusal, nullptr, {});
    return explain(request, refusal, &function.arguments[bound[reading].argument], bound[reading].in);
}

/// max_rows as it was given, or its default.
std::int64_t page_size_of(const Function &function, const std::vector<Bound> &bound) {
    if (function.page.empty()) return 0;
    for (const Bound &each : bound)
        if (function.arguments[each.argument].name == "max_rows") return std::strtoll(each.text.c_str(), nullptr, 10);
    return function.default_page_size;
}
} // namespace

Answer call_function(const Request &request, Route &route, const std::vector<std::string> &segments) {
    const Function &function = route.function();
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
