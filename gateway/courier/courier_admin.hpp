// The admin listener's handler: livez, readyz (healthz), metrics. Not for the public: it has no authentication.
#pragma once
#include "connection.hpp"
#include "courier/counts.hpp"
#include "courier/courier.hpp"

namespace usher::courier {

class CourierAdmin final : public gateway::Handler {
public:
    CourierAdmin(const CourierConfig &config, gateway::BackOff &back_off, gateway::Metrics &metrics,
                 const Counts &counts, const gateway::Drain &drain)
        : config_(config),
          metrics_(metrics),
          counts_(counts),
          drain_(drain),
          database_(config, config.database, back_off, metrics) {}
    void begin(gateway::Exchange &) override {}
    void check_head(const gateway::Exchange &exchange) override;
    gateway::Response answer(gateway::Exchange &exchange) override;
    void complete(const gateway::Exchange &, gateway::Response &response) override;
    void finished(const gateway::Exchange &, const gateway::Response &, bool) override {}

private:
    const char *why_not_ready();

    const CourierConfig &config_;
    const gateway::Metrics &metrics_;
    const Counts &counts_;
    const gateway::Drain &drain_;
    std::mutex mutex_; // guards what follows
    gateway::Database database_;
    Home home_;
    const char *last_reason_ = nullptr;
    gateway::Clock::time_point checked_at_{};
};

} // namespace usher::courier
