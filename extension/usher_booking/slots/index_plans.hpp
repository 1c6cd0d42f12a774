// How statements that run with every booking are planned.
#pragma once
#include "usher_booking/booking_kit.hpp"

namespace usher::booking {

/// Planning them anew for each call would cost more than running them, and a plan that is kept must go by index even if
/// it was made while the tables were empty. Set here, since settings of the function would cost more than a statement.
class KeptPlansByIndex {
public:
    KeptPlansByIndex() {
        enable_seqscan = false;
        plan_cache_mode = PLAN_CACHE_MODE_FORCE_GENERIC_PLAN;
    }
    ~KeptPlansByIndex() {
        enable_seqscan = scans_;
        plan_cache_mode = mode_;
    }
    KeptPlansByIndex(const KeptPlansByIndex &) = delete;
    KeptPlansByIndex &operator=(const KeptPlansByIndex &) = delete;

private:
    bool scans_ = enable_seqscan;
    int mode_ = plan_cache_mode;
};

} // namespace usher::booking
