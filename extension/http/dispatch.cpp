// usher.http_request(): one request from its route to its answer, inside the transaction of the gateway's one
// statement.
#include "access/access.hpp"
#include "core/json.hpp"
#include "core/request_headers.hpp"
#include "http/arguments.hpp"
#include "http/json_writer.hpp"
#include "http/problem.hpp"
#include "limits/limits.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "request/identity.hpp"

namespace usher::http {

namespace {
struct Request {
    std::string_view method, path, query, body;
    json::Document headers_document;
    std::string headers_text, client_ip, correlation_id;

    [[nodiscard]] std::string header(std::string_view name) const {
        const auto value = headers_document.root().find(name);
        return value ? value->as_string() : std::string();
    }
};

struct Answer {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    void add(std::string name, std::string value) { headers.emplace_back(std::move(name), std::move(value)); }
};

Answer refuse(const Request &request, const Problem &problem) {
    Answer answer;
    answer.status = problem.status;
    answer.add("Content-Type", "application/problem+json");
    if (problem.retry_after > 0) answer.add("Retry-After", std::to_string(problem.retry_after));
    answer.body = to_json(problem, request.path, request.correlation_id);
    return answer;
}

void log_fault(const Request &request, const char *sqlstate, const char *message) {
    // The client gets the correlation id only. Control characters of a message cannot forge lines: the server indents
    // them.
    const std::string method(request.method), id(request.correlation_id);
    pg::call([&] {
        ereport(LOG, errmsg("usher: a request failed: %s", message),
                errdetail_log("SQLSTATE %s, method %s, correlation id %s.", sqlstate, method.c_str(), id.c_str()),
                errhidestmt(true));
    });
}

// --- who is asking ---------------------------------------------------------------------------------------------------

std::string new_correlation_id() {
    std::array<std::uint8_t, 8> random;
    if (!pg::call([&] { return pg_strong_random(random.data(), random.size()); }))
        throw Error("58000", "could not generate random values");
    return to_string(make_uuid_v7(pg::clock_time(), random));
}

void set_context(Request &request) {
    const std::string given = request.header("x-correlation-id"), parent = request.header("traceparent");
    if (const auto id = headers::trace_id(parent))
        request.correlation_id = *id;
    else if (headers::is_correlation_id(given))
        request.correlation_id = given;
    else
        request.correlation_id = new_correlation_id();
    const std::string agent = headers::clean_user_agent(request.header("user-agent"));
    request::set_context({request.client_ip, agent, request.correlation_id});
}

Answer challenge(const Request &request, const Problem &problem, std::string_view error) {
    Answer answer = refuse(request, problem);
    // RFC 6750 section 3: no error code when no credentials were sent
    std::string value = R"(Bearer realm="usher")";
    if (!error.empty()) value += ", error=\"" + std::string(error) + "\", error_description=\"" + problem.title + '"';
    answer.add("WWW-Authenticate", value);
    return answer;
}

/// Takes the token, if there is one, and checks what the route asks for. An answer when the request ends here.
std::optional<Answer> admit(const Request &request, const Route &route) {
    request::forget(); // whatever this transaction was before, the token of this request decides
    const std::string header = request.header("authorization");
    const headers::Authorization credentials = headers::parse_authorization(header);
    std::string refused;
    if (credentials.kind == headers::Credentials::bearer) refused = request::authenticate(credentials.token);
    if (route.access == AccessRule::open) return std::nullopt; // an old token does not keep anybody from logging in

    switch (credentials.kind) {
    case headers::Credentials::malformed:
        return challenge(request, problem(errc::malformed_request, "the Authorization header is malformed"),
                         "invalid_request");
    case headers::Credentials::none:
    case headers::Credentials::other: return challenge(request, problem(errc::authentication_required), {});
    case headers::Credentials::bearer: break;
    }
    if (!refused.empty()) {
        const ErrorCode *const code = find_error_code(refused);
        return challenge(request, problem(code == nullptr ? errc::invalid_token : *code), "invalid_token");
    }
    const request::Identity *const who = request::current();
    if (who == nullptr) return challenge(request, problem(errc::token_revoked), "invalid_token");
    if (route.access == AccessRule::permission && !access::has_permission_somewhere(who->user_id, route.permission)) {
        Problem missing = problem(errc::not_permitted);
        missing.extra = R"({"permission":)" + json::quote(route.permission) + '}';
        return challenge(request, missing, "insufficient_scope");
    }
    return std::nullopt;
}

/// Counts the request; the headers of the answer say what is left (draft-ietf-httpapi-ratelimit-headers-07 and later).
std::optional<Answer> limit(const Request &request, const Route &route, Answer &headers) {
    if (route.rate_limit.empty()) return std::nullopt;
    const request::Identity *const who = request::current();
    const std::string key =
        who != nullptr ? "user:" + to_string(who->user_id) : "address:" + limits::address_key(request.client_ip);
    const limits::Outcome outcome = limits::hit(route.rate_limit, key);
    std::string name; // a structured field's string: nothing but visible ASCII
    for (const char c : route.rate_limit)
        if (c > ' ' && c < '\x7f' && c != '"' && c != '\\') name += c;
    const std::int64_t reset = std::max<std::int64_t>(0, (outcome.reset_at - pg::clock_time() + 999'999) / 1'000'000);
    headers.add("RateLimit-Policy",
                '"' + name + "\";q=" + std::to_string(outcome.max_hits) + ";w=" + std::to_string(outcome.period_s));
    headers.add("RateLimit", '"' + name + "\";r=" + std::to_string(outcome.remaining) + ";t=" + std::to_string(reset));
    if (outcome.allowed) return std::nullopt;
    Problem refusal = problem(errc::rate_limited);
    refusal.retry_after = outcome.retry_after_s;
    return refuse(request, refusal);
}

// --- the call --------------------------------------------------------------------------------------------------------

struct Output {              // palloc'd, plain
    char *json = nullptr;    // the body
    char *error = nullptr;   // the result's column "error"
    char *details = nullptr; // beside an error: the columns that are not NULL, as an object
    char *version = nullptr; // of a single row, for the ETag
    std::int64_t retry_after = 0;
    bool is_empty = false; // no row, or NULL where a document was expected
};

std::int64_t as_seconds(Datum value, Oid type) {
    switch (type) {
    case INT2OID: return DatumGetInt16(value);
    case INT4OID: return DatumGetInt32(value);
    case INT8OID: return DatumGetInt64(value);
    default: return 0;
    }
}

/// One row as an object. Of a single row, `error` and a null `retry_after` are not part of it: they steer the answer.
void append_row(StringInfo out, HeapTuple row, TupleDesc columns, bool is_single, Output &output) {
    bool first = true;
    appendStringInfoChar(out, '{');
    for (int i = 0; i < columns->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(columns, i);
        if (column->attisdropped) continue;
        bool is_null;
        const Datum value = heap_getattr(row, i + 1, columns, &is_null);
        const char *const name = NameStr(column->attname);
        if (is_single && std::strcmp(name, "error") == 0) {
            if (!is_null) output.error = TextDatumGetCString(value);
            continue;
        }
        if (is_single && std::strcmp(name, "retry_after") == 0) {
            if (is_null) continue;
            output.retry_after = as_seconds(value, column->atttypid);
        }
        if (is_single && std::strcmp(name, "version") == 0 && !is_null &&
            (column->atttypid == INT4OID || column->atttypid == INT8OID))
            output.version = psprintf(INT64_FORMAT, as_seconds(value, column->atttypid));
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

void append_result(StringInfo out, const Function &function, const SPITupleTable *table, Output &output) {
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
    case Result::scalar:
        appendStringInfoString(out, "{\"result\":");
        append_value(table->vals[0]);
        appendStringInfoChar(out, '}');
        return;
    case Result::row:
        output.is_empty = table->numvals == 0;
        if (output.is_empty) return;
        append_row(out, table->vals[0], columns, true, output);
        if (output.error != nullptr) output.details = details_of(table->vals[0], columns);
        return;
    case Result::rows:
        appendStringInfoString(out, "{\"items\":[");
        for (std::uint64_t i = 0; i < table->numvals; ++i) {
            if (i > 0) appendStringInfoChar(out, ',');
            if (function.is_named_column)
                append_row(out, table->vals[i], columns, false, output);
            else
                append_value(table->vals[i]);
        }
        appendStringInfoString(out, "]}");
        return;
    }
}

/// Plain frame but for `function`, which it only reads.
Output execute(SPIPlanPtr plan, const Function &function, Datum *values, const char *nulls) {
    const MemoryContext target = CurrentMemoryContext;
    Output output;
    SPI_connect();
    const int code = SPI_execute_plan(plan, values, nulls, !function.is_volatile, 0);
    if (code != SPI_OK_SELECT) elog(ERROR, "could not execute a route: %s", SPI_result_code_string(code));
    MemoryContextSwitchTo(target);
    StringInfoData text;
    initStringInfo(&text);
    append_result(&text, function, SPI_tuptable, output);
    output.json = text.data;
    SPI_finish();
    return output;
}

bool may_execute(Oid function) {
    return pg::call([&] { return pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK; });
}

Answer succeed(const Request &request, const Route &route, const Function &function, const Output &output) {
    Answer answer;
    if (output.error != nullptr) {
        const ErrorCode *const code = find_error_code(output.error);
        Problem refusal = problem(code == nullptr ? errc::conflict : *code);
        refusal.code = output.error;
        refusal.retry_after = output.retry_after == 0 && refusal.code == errc::busy.name ? 1 : output.retry_after;
        if (output.details != nullptr) refusal.extra = output.details;
        if (refusal.status == 401) return challenge(request, refusal, {});
        return refuse(request, refusal);
    }
    if (output.is_empty) return refuse(request, problem(errc::not_found));
    answer.status = function.result == Result::nothing && route.success_status == 200 ? 204 : route.success_status;
    if (function.result == Result::nothing || answer.status == 204) return answer; // no content
    answer.add("Content-Type", "application/json");
    if (output.version != nullptr) {
        const std::string tag = '"' + std::string(output.version) + '"';
        answer.add("ETag", tag);
        if (route.method == "GET" && headers::contains_tag(request.header("if-none-match"), tag, true)) {
            answer.status = 304;
            return answer;
        }
    }
    answer.body = output.json;
    return answer;
}

/// Binds the arguments and calls the function, in a subtransaction: whatever it raises takes back what it did, and no
/// more.
Answer call_function(const Request &request, Route &route, const std::vector<std::string> &segments) {
    const Function &function = route.function();
    if (!may_execute(function.oid)) {
        log_fault(request, "42501", ("permission denied for the routed function " + function.name).c_str());
        return refuse(request, problem(errc::internal_error));
    }
    const auto query = route::parse_query(request.query);
    if (!query) return refuse(request, problem(errc::malformed_request, "the query string is malformed or too long"));
    const bool has_body = route.method != "GET" && !request.body.empty();
    if (has_body) {
        const std::string type = request.header("content-type");
        const std::string_view essence = std::string_view(type).substr(0, std::min(type.find(';'), type.size()));
        if (pg_strncasecmp(type.c_str(), "application/json", 16) != 0 || (essence.size() > 16 && essence[16] != ' '))
            return refuse(request, problem(errc::unsupported_media_type));
    }
    std::vector<Bound> bound;
    Problem invalid = problem(errc::invalid_arguments);
    std::string malformed;
    const std::string idempotency_key = request.header("idempotency-key"), if_match = request.header("if-match");
    if (!collect(route, function,
                 {segments, *query, has_body ? request.body : std::string_view{}, idempotency_key, if_match}, bound,
                 invalid.errors, malformed))
        return refuse(request, problem(errc::malformed_request, malformed));
    if (!invalid.errors.empty()) return refuse(request, invalid);

    std::uint64_t given = 0;
    for (const Bound &each : bound) given |= std::uint64_t{1} << each.argument;
    std::vector<Datum> values(bound.size());
    std::string nulls(bound.size(), ' ');
    Output output;
    std::size_t reading = 0;
    bool is_called = false;
    const pg::Refusal refusal = pg::attempt([&] {
        if (route.read_only) XactReadOnly = true; // the end of the subtransaction takes it back
        for (; reading < bound.size(); ++reading) {
            const Bound &each = bound[reading];
            nulls[reading] = each.is_null ? 'n' : ' ';
            values[reading] = pg::call([&] { return to_datum(function.arguments[each.argument], each); });
        }
        is_called = true;
        const SPIPlanPtr plan = route.plan(given);
        output = pg::call([&] { return execute(plan, function, values.data(), nulls.c_str()); });
    });
    if (!refusal) return succeed(request, route, function, output);

    const std::string sqlstate = refusal.sqlstate();
    const std::string_view message = refusal.error->message == nullptr ? "" : refusal.error->message;
    if (!is_called && (sqlstate.starts_with("22") || sqlstate.starts_with("23"))) {
        const Argument &argument = function.arguments[bound[reading].argument];
        invalid.errors.push_back({argument.name, bound[reading].in, "invalid", "is not a valid " + argument.type_name});
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

// --- the whole -------------------------------------------------------------------------------------------------------

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

    Answer limits; // its headers go with whatever the answer is
    std::optional<Answer> ended = admit(request, route);
    if (!ended) ended = limit(request, route, limits);
    Answer answer = ended ? std::move(*ended) : call_function(request, route, *segments);
    for (auto &header : limits.headers) answer.headers.push_back(std::move(header));
    if (answer.status < 300 && !route.cache_control.empty()) answer.add("Cache-Control", route.cache_control);
    return answer;
}

bool has_header(const Answer &answer, std::string_view name) {
    return std::any_of(answer.headers.begin(), answer.headers.end(), [&](const auto &h) { return h.first == name; });
}

Answer answer_to(Request &request) {
    Answer answer;
    try {
        answer = handle(request);
    } catch (
        const Error &e) { // of our own code before the call, such as a policy that does not exist; nothing is half done
        const Problem made = problem_of(e.sqlstate(), e.what(), e.detail(), request::current() != nullptr);
        if (made.is_fault) log_fault(request, e.sqlstate().c_str(), e.what());
        answer = refuse(request, made);
    }
    // Answers are for one client and change: nobody keeps them unless the route says so.
    if (!has_header(answer, "Cache-Control")) answer.add("Cache-Control", "no-store");
    answer.add("X-Correlation-Id", request.correlation_id);
    if (request.method == "HEAD") answer.body.clear();
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
    const http::Answer answer = http::answer_to(request);
    const std::string headers = http::headers_json(answer);
    pg::RowBuilder row(fcinfo);
    row.set("status", pg::int4(answer.status)).set("headers", pg::jsonb(headers)).set("body", pg::text(answer.body));
    return row.finish();
}

/// usher._check_route(path_template, function): the template's shape; throws when the function cannot be routed there.
USHER_FUNCTION(usher_http_check_route) {
    const pg::Args args(fcinfo);
    std::string error;
    const auto path = route::parse_template(args.text(0), error);
    if (!path) throw Error(errc::invalid_argument, "path_template is not valid: " + error);
    const http::Function function = http::describe(args.oid(1));
    for (const route::Segment &segment : *path) {
        if (!segment.is_parameter) continue;
        const http::Argument *const argument = function.find(segment.text);
        if (argument == nullptr)
            throw Error(errc::invalid_argument, "the function has no argument \"" + segment.text + "\" for the path");
        if (argument->shape == http::Shape::object || argument->shape == http::Shape::array)
            throw Error(errc::invalid_argument, "argument \"" + segment.text + "\" cannot be part of a path");
    }
    return pg::result(pg::text(route::shape(*path)));
}
