#include "common/zone.hpp"
#include <algorithm>

namespace usher {

Zone::Zone(std::int32_t offset_s, std::vector<ClockChange> changes)
    : first_offset_s_(offset_s), changes_(std::move(changes)) {}

std::int32_t Zone::offset_at(Instant instant) const {
    const auto next = std::upper_bound(changes_.begin(), changes_.end(), instant,
                                       [](Instant at, const ClockChange &change) { return at < change.at; });
    return next == changes_.begin() ? first_offset_s_ : std::prev(next)->offset_s;
}

LocalDate Zone::date_of(Instant instant) const { return usher::date_of(to_local(instant)); }

Instant Zone::to_instant(LocalTime local, Occurrence which) const {
    // Clocks are never two days away from UTC, so only the changes around decide. Between two changes wall time runs
    // with the instants: each stretch gives at most one candidate.
    const auto near = std::lower_bound(changes_.begin(), changes_.end(), local - 2 * day_us,
                                       [](const ClockChange &change, Instant at) { return change.at < at; });
    std::int32_t offset = near == changes_.begin() ? first_offset_s_ : std::prev(near)->offset_s;
    Instant found = 0;
    bool is_found = false;
    for (auto change = near;; ++change) {
        const Instant candidate = local - offset * second_us;
        const bool is_last = change == changes_.end() || change->at > local + 2 * day_us;
        const bool starts_before = change == near || candidate >= std::prev(change)->at;
        if (starts_before && (is_last || candidate < change->at)) {
            if (which == Occurrence::first) return candidate;
            found = candidate;
            is_found = true;
        }
        if (is_last) break;
        // The clocks jump over it here.
        if (candidate >= change->at && local - change->offset_s * second_us < change->at && !is_found) {
            if (which == Occurrence::first) return change->at;
            found = change->at;
            is_found = true;
        }
        offset = change->offset_s;
    }
    return is_found ? found : local - offset * second_us;
}

TimeRange Zone::day(LocalDate date) const {
    return {to_instant(date * day_us, Occurrence::first), to_instant((date + 1) * day_us, Occurrence::first)};
}

LocalDate date_of(LocalTime local) {
    const std::int64_t days = local / day_us;
    return static_cast<LocalDate>(local % day_us < 0 ? days - 1 : days);
}

int weekday_of(LocalDate date) {
    const int since_thursday = ((date % 7) + 7) % 7; // 1970-01-01 was a Thursday
    return (since_thursday + 3) % 7 + 1;
}

} // namespace usher
