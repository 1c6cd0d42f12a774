// The admin listener's handler: livez, readyz (healthz), primary, replica, read-only, metrics. A listener and database
// connections of its own, so that it answers while the public side sheds load. Not for the public: it has no
// authentication.
#pragma once
#include "connection.hpp"
#include "database.hpp"

namespace usher::gateway {

class Admin final : public Handler {
public:
    Admin(const Config &config, BackOff &back_off, Metrics &metrics, const Drain &drain)
        : config_(config),
          metrics_(metrics),
          drain_(drain),
          database_(config, config.database, back_off, metrics),
          metrics_database_(config, config.database, back_off, metrics) {}
    void begin(Exchange &exchange) override;
    void check_head(const Exchange &exchange) override;
    Response answer(Exchange &exchange) override;
    void complete(const Exchange &exchange, Response &response) override;
    void finished(const Exchange &, const Response &, bool) override {}

private:
    struct Role {
        bool is_known = false; // the database answers
        bool is_standby = false;
        double lag_seconds = 0;
    };
    const char *why_not_ready();
    Role role();
    Response answer_role(const Request &request);
    std::string database_metrics();

    const Config &config_;
    Metrics &metrics_;
    const Drain &drain_;
    std::mutex mutex_; // guards what follows
    Database database_;
    const char *last_reason_ = nullptr;
    Clock::time_point checked_at_{};
    Role role_;
    Clock::time_point role_asked_at_{};
    std::mutex metrics_mutex_;  // guards what follows: a slow answer there does not keep readyz waiting
    Database metrics_database_; // used by nobody who does not scrape
    std::string database_metrics_;
    Clock::time_point metrics_asked_at_{};
};

} // namespace usher::gateway
