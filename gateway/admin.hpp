// The admin listener's handler: livez, readyz (healthz), metrics. A listener and a database connection of its own, so
// that it answers while the public side sheds load. Not for the public: it has no authentication.
#pragma once
#include "connection.hpp"
#include "database.hpp"

namespace usher::gateway {

class Admin final : public Handler {
public:
    Admin(const Config &config, BackOff &back_off, Metrics &metrics, const Drain &drain)
        : metrics_(metrics), drain_(drain), database_(config, config.database, back_off, metrics) {}
    void begin(Exchange &exchange) override;
    void check_head(const Exchange &exchange) override;
    Response answer(Exchange &exchange) override;
    void complete(const Exchange &exchange, Response &response) override;
    void finished(const Exchange &, const Response &, bool) override {}

private:
    const char *why_not_ready();

    Metrics &metrics_;
    const Drain &drain_;
    std::mutex mutex_; // guards what follows
    Database database_;
    const char *last_reason_ = nullptr;
    Clock::time_point checked_at_{};
};

} // namespace usher::gateway
