#include "usher_booking/slots/rules.hpp"
#include <algorithm>
#include <tuple>

namespace usher::slots {

namespace {
constexpr std::int64_t minute_us = 60 * second_us;
constexpr std::int64_t managers_notice = -15 * minute_us;
constexpr std::int64_t managers_horizon = 1095 * day_us; // the longest that a service may have

/// How much somebody has to do around a start.
struct Load {
    int booked = 0;
    std::optional<Instant> idle_since; // nothing: no booking before it
    Uuid id;
    // Nothing sorts before any instant.
    [[nodiscard]] auto key() const { return std::tie(booked, idle_since, id); }
};

Load load_of(const Staff &staff, Instant start) {
    const TimeRange around{start - day_us, start + day_us};
    Load load{0, std::nullopt, staff.id};
    for (const TimeRange &each : staff.claims) {
        if (!each.overlaps(around)) continue;
        ++load.booked;
        if (each.until <= start) load.idle_since = std::max(load.idle_since.value_or(each.until), each.until);
    }
    return load;
}
} // namespace

Duty duty_at(Instant start, const Terms &terms, const Uuid &service) {
    const TimeRange visible{start, start + terms.duration};
    return {service, visible, {visible.from - terms.buffer_before, visible.until + terms.buffer_after}};
}

Starts allowed_starts(const Terms &terms, Instant now, Asker asker) {
    if (asker == Asker::manager) return {now + managers_notice, now + managers_horizon};
    return {now + terms.min_notice, now + terms.horizon};
}

bool on_grid(std::span<const TimeRange> periods, Instant start, std::int64_t step) {
    return std::any_of(periods.begin(), periods.end(), [&](const TimeRange &period) {
        return period.from <= start && start < period.until && (start - period.from) % step == 0;
    });
}

Occupancy::Occupancy(std::span<const TimeRange> bookings) {
    std::vector<std::pair<Instant, int>> edges;
    edges.reserve(bookings.size() * 2);
    for (const TimeRange &each : bookings) {
        if (each.from >= each.until) continue;
        edges.emplace_back(each.from, 1);
        edges.emplace_back(each.until, -1);
    }
    std::sort(edges.begin(), edges.end());
    int count = 0;
    for (std::size_t i = 0; i < edges.size();) {
        const Instant at = edges[i].first;
        for (; i < edges.size() && edges[i].first == at; ++i) count += edges[i].second;
        levels_.push_back({at, count});
    }
}

int Occupancy::peak(const TimeRange &range) const {
    auto level = std::upper_bound(levels_.begin(), levels_.end(), range.from,
                                  [](Instant at, const Level &each) { return at < each.from; });
    int most = level == levels_.begin() ? 0 : std::prev(level)->count;
    for (; level != levels_.end() && level->from < range.until; ++level) most = std::max(most, level->count);
    return most;
}

int free_places(int places, const Occupancy &others, const TimeRange &visible) { return places - others.peak(visible); }

bool keeps(const Staff &staff, StaffRule rule, const Duty &duty) {
    switch (rule) {
    case StaffRule::active_user: return staff.is_active;
    case StaffRule::assigned: return staff.is_assigned;
    case StaffRule::skilled:
        return staff.skills.empty() ||
               std::find(staff.skills.begin(), staff.skills.end(), duty.service) != staff.skills.end();
    case StaffRule::time_off: return !hours::touches(staff.away, duty.claimed);
    case StaffRule::hours: return !staff.at_work || hours::covers(*staff.at_work, duty.visible);
    case StaffRule::free: return !hours::touches(staff.busy, duty.claimed);
    }
    return false;
}

std::optional<StaffRule> first_broken(const Staff &staff, const Duty &duty) {
    for (const StaffRule rule : {StaffRule::active_user, StaffRule::assigned, StaffRule::skilled, StaffRule::time_off,
                                 StaffRule::hours, StaffRule::free})
        if (!keeps(staff, rule, duty)) return rule;
    return std::nullopt;
}

std::vector<Staff> choice(std::vector<Staff> staff, const Duty &duty) {
    std::erase_if(staff, [&](const Staff &each) { return first_broken(each, duty).has_value(); });
    std::sort(staff.begin(), staff.end(), [&](const Staff &a, const Staff &b) {
        return load_of(a, duty.visible.from).key() < load_of(b, duty.visible.from).key();
    });
    return staff;
}

TimeRange load_range(const Duty &duty) {
    return {std::min(duty.claimed.from, duty.visible.from - day_us),
            std::max(duty.claimed.until, duty.visible.from + day_us)};
}

bool is_free(std::span<const TimeRange> busy, const TimeRange &visible) { return !hours::touches(busy, visible); }

bool is_within_limit(std::optional<int> daily_limit, int others) { return !daily_limit || others < *daily_limit; }

} // namespace usher::slots
