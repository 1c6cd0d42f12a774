// What the admin listeners of the programs have in common: /livez, /readyz (/healthz) and /metrics, asked by GET
// without a body. Not for the public: there is no authentication.
#pragma once
#include "connection.hpp"
#include "database.hpp"
#include <mutex>

namespace usher::gateway {

class Probes : public Handler {
public:
    explicit Probes(const Drain &drain) : drain_(drain) {}
    void begin(Exchange &) override {}
    void check_head(const Exchange &exchange) override;
    Response answer(Exchange &exchange) override;
    void complete(const Exchange &, Response &response) override;
    void finished(const Exchange &, const Response &, bool) override {}

protected:
    /// Why requests cannot be answered, or nullptr. Called with mutex_ held, at most once a second while all is well.
    virtual const char *look() = 0;
    /// In Prometheus' text format.
    virtual std::string metrics() = 0;
    /// Any other path: throws Refused for what is not there.
    virtual Response answer_other(const Request &request) = 0;

    const Drain &drain_;
    std::mutex mutex_; // guards what look() needs, and what follows

private:
    const char *why_not_ready();

    const char *last_reason_ = nullptr;
    Clock::time_point checked_at_{};
};

} // namespace usher::gateway
