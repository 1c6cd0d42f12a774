// Counters for Prometheus (text exposition format 0.0.4). Labels are bounded: the route's template, never a path.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace usher::gateway {

class Metrics {
public:
    std::atomic<std::int64_t> open_connections{0};
    std::atomic<std::int64_t> requests_in_flight{0};
    std::atomic<std::uint64_t> connections_refused{0}; // beyond max_connections
    std::atomic<std::uint64_t> pool_timeouts{0};
    std::atomic<std::uint64_t> database_connects{0};
    std::atomic<std::uint64_t> database_connect_failures{0};
    std::atomic<std::uint64_t> database_sessions_spoiled{0};     // given up because a request left something behind
    std::atomic<std::uint64_t> database_connections_replaced{0}; // because of their age
    std::atomic<std::uint64_t> statements_cancelled{0};
    std::atomic<std::uint64_t> standby_answers{0};
    std::atomic<std::uint64_t> tls_failures{0}; // connections that ended before TLS was agreed on
    std::atomic<std::int64_t> pool_size{0};
    std::atomic<std::int64_t> pool_overflow{0};
    std::atomic<std::int64_t> pool_in_use{0};
    std::atomic<std::int64_t> pool_waiting{0};
    std::atomic<std::int64_t> pool_costly_in_use{0};

    void count_request(const std::string &method, const std::string &route, int status, double seconds);
    void count_database_time(double seconds);
    void count_pool_wait(double seconds);
    std::string exposition() const;
    /// What usher.metrics() says, [[name, labels, value, help], ...] as JSON, in the same format. Empty when it is not
    /// that.
    static std::string exposition_of(const std::string &rows);

private:
    static constexpr std::array<double, 11> bounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};
    struct Histogram {
        std::array<std::uint64_t, bounds.size()> buckets{}; // not cumulative
        std::uint64_t count = 0;
        double sum = 0;
        void add(double seconds);
        void print(std::string &out, const char *name, const char *help) const;
    };
    mutable std::mutex mutex_;
    std::map<std::tuple<std::string, std::string, int>, std::uint64_t> requests_; // method, route, status
    Histogram request_seconds_;
    Histogram database_seconds_;
    Histogram pool_wait_seconds_;
};

} // namespace usher::gateway
