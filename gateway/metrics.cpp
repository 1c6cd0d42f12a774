#include "metrics.hpp"
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

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

void Metrics::count_pool_wait(double seconds) {
    const std::lock_guard lock(mutex_);
    pool_wait_seconds_.add(seconds);
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
    single("usher_gateway_pool_overflow_connections", "gauge", "Configured connections for when all are busy.",
           pool_overflow.load());
    single("usher_gateway_pool_waiting", "gauge", "Requests that wait for a database connection.", pool_waiting.load());
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
    single("usher_gateway_database_connections_replaced_total", "counter", "Connections replaced because of their age.",
           database_connections_replaced.load());
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
    pool_wait_seconds_.print(out, "usher_gateway_pool_wait_duration_seconds", "Waits for a database connection.");
    return out;
}

// Names, labels and numbers come from extensions and applications: what would break the format is left out.
std::string Metrics::exposition_of(const std::string &rows) {
    const auto is_name = [](const std::string &name) {
        return !name.empty() && (name[0] < '0' || name[0] > '9') &&
               name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
                   std::string::npos;
    };
    std::string out;
    std::string last;
    std::size_t series = 0;
    const auto document = nlohmann::json::parse(rows, nullptr, false);
    if (!document.is_array()) return out;
    for (const auto &row : document) {
        if (!row.is_array() || row.size() != 4 || !row[0].is_string() || !row[1].is_object() || !row[2].is_number())
            continue;
        const std::string name = row[0].get<std::string>();
        if (!is_name(name) || name.starts_with("usher_gateway_") || ++series > max_series) continue;
        if (name != last) {
            std::string help = row[3].is_string() ? row[3].get<std::string>() : "";
            std::replace(help.begin(), help.end(), '\n', ' ');
            std::replace(help.begin(), help.end(), '\\', '/');
            if (!help.empty()) out += "# HELP " + name + ' ' + help + '\n';
            out += "# TYPE " + name + (name.ends_with("_total") ? " counter\n" : " gauge\n");
            last = name;
        }
        std::string labels;
        for (const auto &[label, value] : row[1].items())
            if (is_name(label))
                labels += (labels.empty() ? '{' : ',') + label + "=\"" +
                          escape_label(value.is_string() ? value.get<std::string>() : value.dump()) + '"';
        out += name + labels + (labels.empty() ? " " : "} ") + number(row[2].get<double>()) + '\n';
    }
    return out;
}

} // namespace usher::gateway
