#include "courier/counts.hpp"
#include <cstdio>

namespace usher::courier {

void Counts::count(const char *kind, const std::string &outcome, double seconds) {
    const std::lock_guard lock(mutex_);
    Times &times = done_[{kind, outcome}];
    ++times.count;
    times.seconds += seconds;
}

std::string Counts::exposition(const gateway::Metrics &database) const {
    std::string out;
    const auto begin = [&](const char *name, const char *type, const char *help) {
        out += std::string("# HELP ") + name + ' ' + help + "\n# TYPE " + name + ' ' + type + '\n';
    };
    const auto single = [&](const char *name, const char *type, const char *help, auto value) {
        begin(name, type, help);
        out += std::string(name) + ' ' + std::to_string(value) + '\n';
    };
    single("usher_courier_in_flight", "gauge", "Messages and requests being sent.", in_flight.load());
    single("usher_courier_notices_total", "counter", "Times the database has said that something is ready.",
           notices.load());
    single("usher_courier_claims_failed_total", "counter", "Looks into a queue that failed.", claims_failed.load());
    single("usher_courier_reports_lost_total", "counter", "Outcomes that the database could not be told in time.",
           reports_lost.load());
    single("usher_courier_database_connects_total", "counter", "Connections made to the database.",
           database.database_connects.load());
    single("usher_courier_database_connect_failures_total", "counter", "Failed attempts to connect to the database.",
           database.database_connect_failures.load());
    const std::lock_guard lock(mutex_);
    begin("usher_courier_attempts_total", "counter", "Attempts to send, by what came of them.");
    for (const auto &[key, times] : done_)
        out += "usher_courier_attempts_total{kind=\"" + key.first + "\",outcome=\"" + key.second + "\"} " +
               std::to_string(times.count) + '\n';
    begin("usher_courier_attempt_seconds_total", "counter", "Time that these attempts took.");
    for (const auto &[key, times] : done_) {
        char seconds[32];
        std::snprintf(seconds, sizeof seconds, "%.6f", times.seconds);
        out += "usher_courier_attempt_seconds_total{kind=\"" + key.first + "\",outcome=\"" + key.second + "\"} " +
               seconds + '\n';
    }
    return out;
}

} // namespace usher::courier
