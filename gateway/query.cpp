#include "query.hpp"
#include "common/json.hpp"
#include "errors.hpp"
#include "log.hpp"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace usher::gateway {

namespace {

constexpr const char *statement_name = "usher_http_request";
constexpr const char *statement =
    "SELECT status, headers, body FROM usher.http_request("
    "$1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.jsonb, $5::pg_catalog.text, "
    "$6::pg_catalog.inet)";
constexpr int max_attempts = 3;

// Not for the database: about the connection, read by the gateway itself, or a claim of whoever sent it.
bool is_withheld(const Request &request, std::string_view name) {
    if (is_connection_header(name) || name == "expect" || name == "forwarded" || name == "x-real-ip" ||
        name.starts_with("x-forwarded-") || name == "x-correlation-id" || name == "usher-timing")
        return true;
    for (const Field &field : request.fields) { // named by Connection: for this hop only
        if (field.name != "connection") continue;
        for (std::string_view rest = field.value; !rest.empty();) {
            const std::size_t comma = rest.find(',');
            if (lower_case(trim(rest.substr(0, comma), header_space)) == name) return true;
            rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
        }
    }
    return false;
}

// An object of names and values; a repeated field is one list (RFC 9110 section 5.3).
std::string headers_for_database(const Exchange &exchange) {
    std::vector<std::pair<std::string_view, std::string>> headers;
    for (const Field &field : exchange.request.fields) {
        if (is_withheld(exchange.request, field.name)) continue;
        const auto same = [&](const auto &header) { return header.first == field.name; };
        const auto found = std::find_if(headers.begin(), headers.end(), same);
        if (found == headers.end())
            headers.emplace_back(field.name, field.value);
        else
            found->second += (field.name == "cookie" ? "; " : ", ") + field.value;
    }
    headers.emplace_back("x-correlation-id", exchange.correlation_id);
    std::string out;
    out.reserve(512);
    for (const auto &[name, value] : headers)
        out += (out.empty() ? '{' : ',') + json::quote(name) + ':' + json::quote(value);
    return out + '}';
}

[[noreturn]] void invalid_answer(const Exchange &exchange, const char *reason) {
    log(Level::error, "invalid_database_answer", {{"reason", reason}, {"correlation_id", exchange.correlation_id}});
    throw Refused{500, "internal_error", "The request could not be processed."};
}

// The database is trusted, the functions that an application registers make mistakes: nothing that could end a header
// or change the framing of our answer passes.
Response read_row(const Exchange &exchange, Outcome &outcome) {
    if (outcome.row.size() != 3 || !outcome.row[0] || !outcome.row[1]) invalid_answer(exchange, "NULL in the row");
    Response response;
    response.status = std::atoi(outcome.row[0]->c_str());
    if (response.status < 200 || response.status > 599) invalid_answer(exchange, "status out of range");
    json::Document headers;
    if (!headers.parse(*outcome.row[1]) || !headers.root().is_array())
        invalid_answer(exchange, "headers are not an array");
    std::vector<std::string> pair;
    for (const json::Member header : headers.root().members()) {
        pair.clear();
        if (header.value.is_array())
            for (const json::Member part : header.value.members())
                if (part.value.is_string()) pair.push_back(part.value.as_string());
        if (pair.size() != 2 || header.value.size() != 2) invalid_answer(exchange, "a header is not a pair of strings");
        if (!is_token(pair[0]) || !is_field_value(pair[1])) invalid_answer(exchange, "a header is malformed");
        const std::string lower = lower_case(pair[0]);
        if (lower == "usher-route")
            response.route = pair[1]; // for the metrics; not sent
        else if (lower == "usher-session")
            response.spoils_session = true; // for us; not sent
        else if (!is_connection_header(lower) && lower != "x-correlation-id")
            response.headers.push_back({pair[0], pair[1]});
    }
    if (outcome.row[2]) response.body = std::move(*outcome.row[2]);
    return response;
}

// The function left something in the session that the next request must not meet, or libpq has grown a buffer to the
// size of a large answer, which it keeps: either costs the connection.
void give_up_if_spoiled(Database &database, Metrics &metrics, const Response &response) {
    constexpr std::size_t large = 8 << 20;
    if (response.spoils_session) ++metrics.database_sessions_spoiled;
    if (response.spoils_session || response.body.size() > large) database.disconnect();
}

// A standby's answer, unless the primary must be asked as well: it may know or allow already what the standby does not
// yet, and it can run a route that turns out to write.
std::optional<Response> ask_standby(Pool &standbys, Metrics &metrics, Exchange &exchange,
                                    const std::vector<const char *> &parameters) {
    const std::unique_ptr<Pool::Lease> lease = standbys.try_borrow();
    if (lease == nullptr) return std::nullopt;
    Database &database = **lease;
    if (!database.ensure_connected()) return std::nullopt;
    const auto started = Clock::now();
    Outcome outcome = database.run(statement_name, statement, parameters, exchange.client_socket);
    exchange.database_time += Clock::now() - started;
    if (outcome.kind == Outcome::Kind::client_gone)
        throw Refused{499, "client_closed_request", "The client closed the connection.", {}, true};
    if (outcome.kind == Outcome::Kind::deadline_passed) throw from_sqlstate("57014");
    if (outcome.kind != Outcome::Kind::row) return std::nullopt;
    Response response = read_row(exchange, outcome);
    give_up_if_spoiled(database, metrics, response);
    if (response.status >= 400) return std::nullopt;
    ++metrics.standby_answers;
    return response;
}

} // namespace

Response call_database(Pool &pool, Pool &standbys, RouteTraits traits, Metrics &metrics, Exchange &exchange) {
    const Request &request = exchange.request;
    const std::string headers = headers_for_database(exchange);
    const std::string client = exchange.client.to_string();
    const std::vector<const char *> parameters = {request.method.c_str(),
                                                  request.path.c_str(),
                                                  request.query.empty() ? nullptr : request.query.c_str(),
                                                  headers.c_str(),
                                                  request.body.empty() ? nullptr : request.body.c_str(),
                                                  client.c_str()};
    const bool is_safe = request.method == "GET" || request.method == "HEAD";
    if (traits.is_for_standby)
        if (std::optional<Response> response = ask_standby(standbys, metrics, exchange, parameters))
            return std::move(*response);
    const auto asked = Clock::now();
    Pool::Lease database = pool.borrow(traits.is_costly);
    exchange.wait_time = Clock::now() - asked;
    metrics.count_pool_wait(std::chrono::duration<double>(exchange.wait_time).count());
    for (int attempt = 1;; ++attempt) {
        if (!database->ensure_connected()) throw database_unavailable();
        const auto started = Clock::now();
        Outcome outcome = database->run(statement_name, statement, parameters, exchange.client_socket);
        const auto duration = Clock::now() - started;
        exchange.database_time += duration;
        metrics.count_database_time(std::chrono::duration<double>(duration).count());
        const bool may_repeat = attempt < max_attempts;
        switch (outcome.kind) {
        case Outcome::Kind::row: {
            Response response = read_row(exchange, outcome);
            give_up_if_spoiled(*database, metrics, response);
            return response;
        }
        case Outcome::Kind::client_gone:
            throw Refused{499, "client_closed_request", "The client closed the connection.", {}, true};
        case Outcome::Kind::deadline_passed: throw from_sqlstate("57014");
        case Outcome::Kind::not_sent:
            if (may_repeat) continue;
            throw database_unavailable();
        case Outcome::Kind::lost:
            // Whether it committed is unknown: only what changes nothing may be sent again.
            if (may_repeat && is_safe) continue;
            log(Level::warning, "database_connection_lost",
                {{"sqlstate", outcome.sqlstate}, {"correlation_id", exchange.correlation_id}});
            throw database_unavailable();
        case Outcome::Kind::error: break;
        }
        // Rolled back as a whole, so it may run again: serialization failure, deadlock, forgotten prepared statement.
        const std::string &sqlstate = outcome.sqlstate;
        if (may_repeat && (sqlstate == "40001" || sqlstate == "40P01" || sqlstate == "26000")) continue;
        log(Level::error, "database_error", {{"sqlstate", sqlstate}, {"correlation_id", exchange.correlation_id}});
        if (sqlstate == "25006" && database->is_standby()) { // a failover made this server a standby: find the primary
            database->disconnect();
            throw database_unavailable();
        }
        throw from_sqlstate(sqlstate);
    }
}

} // namespace usher::gateway
