// What the courier has done, for Prometheus. Labels are words of ours: no address, no URL.
#pragma once
#include "metrics.hpp"

namespace usher::courier {

class Counts {
public:
    std::atomic<std::int64_t> in_flight{0};
    std::atomic<std::uint64_t> reports_lost{0}; // sent, but the database could not be told
    std::atomic<std::uint64_t> claims_failed{0};
    std::atomic<std::uint64_t> notices{0};

    /// kind: message or request. outcome: one of a few words.
    void count(const char *kind, const std::string &outcome, double seconds);
    /// database: what the shared code has counted.
    std::string exposition(const gateway::Metrics &database) const;

private:
    struct Times {
        std::uint64_t count = 0;
        double seconds = 0;
    };
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, std::string>, Times> done_; // kind, outcome
};

} // namespace usher::courier
