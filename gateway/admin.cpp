#include "admin.hpp"
#include "errors.hpp"
#include "gateway.hpp"
#include "log.hpp"
#include <charconv>
#include <nlohmann/json.hpp>

namespace usher::gateway {

using namespace std::chrono_literals;

void Admin::begin(Exchange &exchange) { exchange.correlation_id = correlation_id_of(exchange.request); }

// Whether the function that answers requests is there and may be called.
const char *Admin::look() {
    for (int attempt = 0; attempt < 2 && database_.ensure_connected(); ++attempt) {
        const Outcome outcome = database_.run(
            "usher_ready",
            "SELECT pg_catalog.has_schema_privilege('usher', 'USAGE') AND pg_catalog.has_function_privilege("
            "'usher.http_request(text, text, text, jsonb, text, inet)', 'EXECUTE')",
            {}, -1);
        if (outcome.kind == Outcome::Kind::row)
            return outcome.row.at(0) == "t" ? nullptr : "usher.http_request must not be called";
        if (outcome.kind == Outcome::Kind::error) return "usher.http_request not found"; // undefined function or schema
    }
    return "database not reachable";
}

// What the database is now, as Patroni's pages tell it to load balancers. A standby that has replayed all that it has
// received is up to date as long as it is connected to its primary.
Admin::Role Admin::role() {
    const std::lock_guard lock(mutex_);
    if (role_.is_known && Clock::now() - role_asked_at_ < 1s) return role_;
    role_ = {};
    for (int attempt = 0; attempt < 2 && database_.ensure_connected(); ++attempt) {
        const Outcome outcome = database_.run(
            "usher_role",
            "SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN NOT pg_catalog.pg_is_in_recovery() OR "
            "EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AND pg_catalog.pg_last_wal_receive_lsn() "
            "OPERATOR(pg_catalog.=) pg_catalog.pg_last_wal_replay_lsn() THEN 0 ELSE coalesce(extract(epoch FROM "
            "pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.pg_last_xact_replay_timestamp()), 0) END",
            {}, -1);
        if (outcome.kind != Outcome::Kind::row || !outcome.row.at(0) || !outcome.row.at(1)) continue;
        role_ = {true, *outcome.row[0] == "t", std::max(0.0, std::strtod(outcome.row[1]->c_str(), nullptr))};
        role_asked_at_ = Clock::now();
        break;
    }
    return role_;
}

// /primary, /replica, /read-only (either): 200 or 503. ?lag=10: no standby that is more than ten seconds behind.
Response Admin::answer_role(const Request &request) {
    std::optional<int> most_lag;
    if (std::string_view rest = request.query; !rest.empty()) {
        int lag = -1;
        if (rest.starts_with("lag=")) {
            rest.remove_prefix(4);
            const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), lag);
            if (error != std::errc{} || stop != rest.data() + rest.size()) lag = -1;
        }
        if (lag < 0) throw Refused{400, "invalid_request", "The query may be lag=, with a number of seconds."};
        most_lag = lag;
    }
    const Role now = role();
    const bool is_good =
        now.is_known && (request.path == "/read-only" || now.is_standby == (request.path == "/replica"));
    const bool is_late = now.is_standby && most_lag && now.lag_seconds > *most_lag;
    Response response;
    response.status = is_good && !is_late && !drain_.is_announced() ? 200 : 503;
    nlohmann::ordered_json body = {{"role", !now.is_known ? "unknown" : now.is_standby ? "replica" : "primary"}};
    if (now.is_known) body["lag_seconds"] = now.lag_seconds;
    if (drain_.is_announced()) body["status"] = "draining";
    response.body = body.dump();
    return response;
}

// usher.metrics(), asked by one scrape for all that come until it is too old. Nothing while the database is away, or
// the function fails: an old answer would hide that.
std::string Admin::database_metrics() {
    if (config_.database_metrics_s == 0) return "";
    const std::lock_guard lock(metrics_mutex_);
    if (!database_metrics_.empty() &&
        Clock::now() - metrics_asked_at_ < std::chrono::seconds(config_.database_metrics_s))
        return database_metrics_;
    database_metrics_.clear();
    bool is_up = false;
    bool is_failing = false;
    for (int attempt = 0; attempt < 2 && metrics_database_.ensure_connected(); ++attempt) {
        const Outcome outcome = metrics_database_.run(
            "usher_metrics",
            // metrics() of version 0.9.0 has no column help
            "SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(m.name, m.labels, m.value, "
            "pg_catalog.to_jsonb(m) OPERATOR(pg_catalog.->) 'help') "
            "ORDER BY m.name COLLATE \"C\", m.labels), '[]')::pg_catalog.text FROM usher.metrics() AS m",
            {}, -1);
        if (outcome.kind == Outcome::Kind::row && outcome.row.at(0)) {
            database_metrics_ = Metrics::exposition_of(*outcome.row[0]);
            is_up = true;
            break;
        }
        if (outcome.kind == Outcome::Kind::error) { // not granted, say: the database is there all the same
            log(Level::warning, "database_metrics_failed", {{"sqlstate", outcome.sqlstate}});
            is_up = is_failing = true;
            break;
        }
    }
    metrics_asked_at_ = Clock::now();
    const std::string up = "# HELP usher_gateway_database_up Whether the database answers who asks for its metrics.\n"
                           "# TYPE usher_gateway_database_up gauge\nusher_gateway_database_up ";
    const std::string failing = "# HELP usher_gateway_database_metrics_failing Whether usher.metrics() fails there.\n"
                                "# TYPE usher_gateway_database_metrics_failing gauge\n"
                                "usher_gateway_database_metrics_failing ";
    if (!is_up) return up + "0\n";
    if (is_failing) return up + "1\n" + failing + "1\n"; // not kept: the next scrape asks again
    database_metrics_ = up + "1\n" + failing + "0\n" + database_metrics_;
    return database_metrics_;
}

std::string Admin::metrics() {
    const std::string of_database = database_metrics(); // first: it may connect, which is counted
    return metrics_.exposition() + of_database;
}

Response Admin::answer_other(const Request &request) {
    if (request.path == "/primary" || request.path == "/replica" || request.path == "/read-only")
        return answer_role(request);
    throw Refused{404, "not_found",
                  "The admin listener has /livez, /readyz, /healthz, /primary, /replica, /read-only and /metrics."};
}

} // namespace usher::gateway
