// The admin listener's handler: what all have (probes.hpp), and primary, replica, read-only. A listener and database
// connections of its own, so that it answers while the public side sheds load.
#pragma once
#include "database.hpp"
#include "probes.hpp"

namespace usher::gateway {

class Admin final : public Probes {
public:
    Admin(const Config &config, BackOff &back_off, Metrics &metrics, const Drain &drain)
        : Probes(drain),
          config_(config),
          metrics_(metrics),
          database_(config, config.database, back_off, metrics),
          metrics_database_(config, config.database, back_off, metrics) {}
    void begin(Exchange &exchange) override;

private:
    struct Role {
        bool is_known = false; // the database answers
        bool is_standby = false;
        double lag_seconds = 0;
    };
    const char *look() override;
    std::string metrics() override;
    Response answer_other(const Request &request) override;
    Role role();
    Response answer_role(const Request &request);
    std::string database_metrics();

    const Config &config_;
    Metrics &metrics_;
    Database database_; // guarded by mutex_, with what follows
    Role role_;
    Clock::time_point role_asked_at_{};
    std::mutex metrics_mutex_;  // guards what follows: a slow answer there does not keep readyz waiting
    Database metrics_database_; // used by nobody who does not scrape
    std::string database_metrics_;
    Clock::time_point metrics_asked_at_{};
};

} // namespace usher::gateway
