#include "metrics.hpp"
#include <cstdio>

namespace usher::gateway {

// Routes come from the database, so their number is bounded there; this is a belt to those braces.
static constexpr std::size_t max_series = 5000;

void Metrics::Histogram::add(double seconds) {
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        if (seconds <= bounds[i]) {
            ++buckets[i];
            break;
        }
    }
    ++count;
    sum += seconds;
}

static std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", value);
    return text;
}

void Metrics::Histogram::print(std::string &out, const char *name, const char *help) const {
    out += std::string("# HELP ") + name + ' ' + help + "\n# TYPE " + name + " histogram\n";
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        cumulative += buckets[i];
        out += std::string(name) + "_bucket{le=\"" + number(bounds[i]) + "\"} " + std::to_string(cumulative) + '\n';
    }
    out += std::string(name) + "_bucket{le=\"+Inf\"} " + std::to_string(count) + '\n';
    out += std::string(name) + "_sum " + number(sum) + '\n' + name + "_count " + std::to_string(count) + '\n';
}

void Metrics::count_request(const std::string &method, const std::string &route, int status, double seconds) {
    const std::lock_guard lock(mutex_);
    const auto key = std::make_tuple(method, route, status);
    if (const auto found = requests_.find(key); found != requests_.end())
        ++found->second;
    else if (requests_.size() < max_series)
        requests_.emplace(key, 1);
    else
        ++requests_[std::make_tuple(method, std::string("(other)"), status)];
    request_seconds_.add(seconds);
}

void Metrics::count_database_time(double seconds) {
    const std::lock_guard lock(mutex_);
    database_seconds_.add(seconds);
}

static std::string escape_label(const std::string &value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out;
}

std::string Metrics::exposition() const {
    std::string out;
    const auto single = [&](const char *name, const char *type, const char *help, auto value) {
        out += std::string("# HELP ") + name + ' ' + help + "\n# TYPE " + name + ' ' + type + '\n';
        out += std::string(name) + ' ' + std::to_string(value) + '\n';
    };
    single("usher_gateway_connections", "gauge", "Open client connections.", open_connections.load());
    single("usher_gateway_requests_in_flight", "gauge", "Requests being answered.", requests_in_flight.load());
    single("usher_gateway_connections_refused_total", "counter", "Connections refused at the limit.",
           connections_refused.load());
    single("usher_gateway_pool_connections", "gauge", "Configured database connections.", pool_size.load());
    single("usher_gateway_pool_in_use", "gauge", "Database connections at work.", pool_in_use.load());
    single("usher_gateway_pool_costly_in_use", "gauge", "Of these, at work for costly routes.",
           pool_costly_in_use.load());
    single("usher_gateway_pool_timeouts_total", "counter", "Requests that got no database connection in time.",
           pool_timeouts.load());
    single("usher_gateway_database_connects_total", "counter", "Connections made to the database.",
           database_connects.load());
    single("usher_gateway_database_connect_failures_total", "counter", "Failed attempts to connect to the database.",
           database_connect_failures.load());
    single("usher_gateway_database_sessions_spoiled_total", "counter",
           "Connections given up because a request left something behind that could not be undone.",
           database_sessions_spoiled.load());
    single("usher_gateway_statements_cancelled_total", "counter", "Statements cancelled by the gateway.",
           statements_cancelled.load());
    single("usher_gateway_standby_answers_total", "counter", "Requests answered by a standby.", standby_answers.load());
    single("usher_gateway_tls_failures_total", "counter", "Connections that ended before TLS was agreed on.",
           tls_failures.load());
    const std::lock_guard lock(mutex_);
    out += "# HELP usher_gateway_requests_total Requests answered.\n# TYPE usher_gateway_requests_total counter\n";
    for (const auto &[key, count] : requests_) {
        const auto &[method, route, status] = key;
        out += "usher_gateway_requests_total{method=\"" + escape_label(method) + "\",route=\"" + escape_label(route) +
               "\",status=\"" + std::to_string(status) + "\"} " + std::to_string(count) + '\n';
    }
    request_seconds_.print(out, "usher_gateway_request_duration_seconds", "From the end of the head to the answer.");
    database_seconds_.print(out, "usher_gateway_database_duration_seconds", "Time spent in the database's statement.");
    return out;
}

} // namespace usher::gateway
