// The admin listener's handler: what all have (probes.hpp).
#pragma once
#include "courier/counts.hpp"
#include "courier/courier.hpp"
#include "probes.hpp"

namespace usher::courier {

class CourierAdmin final : public gateway::Probes {
public:
    CourierAdmin(const CourierConfig &config, gateway::BackOff &back_off, gateway::Metrics &metrics,
                 const Counts &counts, const gateway::Drain &drain)
        : Probes(drain),
          config_(config),
          metrics_(metrics),
          counts_(counts),
          database_(config, config.database, back_off, metrics) {}

private:
    const char *look() override;
    std::string metrics() override;
    gateway::Response answer_other(const gateway::Request &request) override;

    const CourierConfig &config_;
    const gateway::Metrics &metrics_;
    const Counts &counts_;
    gateway::Database database_; // guarded by mutex_, with what follows
    Home home_;
};

} // namespace usher::courier
