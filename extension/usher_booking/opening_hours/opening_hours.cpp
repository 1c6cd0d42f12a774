#include "usher_booking/opening_hours/opening_hours.hpp"
#include <algorithm>

namespace usher::hours {

TimeRange instants_of(const Period &period, LocalDate date, const Zone &zone) {
    const LocalTime midnight = date * day_us;
    const std::int64_t next_day = period.closes_us <= period.opens_us ? day_us : 0;
    return {zone.to_instant(midnight + period.opens_us, Occurrence::first),
            zone.to_instant(midnight + next_day + period.closes_us, Occurrence::last)};
}

std::vector<TimeRange> open_periods(const Calendar &calendar, const Zone &zone, const TimeRange &window,
                                    const Poll &poll) {
    std::vector<TimeRange> found;
    if (window.from >= window.until) return found;
    const auto add = [&](const Period &period, LocalDate date) {
        const TimeRange range = instants_of(period, date, zone);
        if (range.from < range.until && range.overlaps(window)) found.push_back(range);
    };
    // A period of the day before may reach into the window, and where the clocks skipped a day that is two dates back.
    const LocalDate last = zone.date_of(window.until) + 1;
    for (LocalDate date = zone.date_of(window.from) - 2; date <= last; ++date) {
        if (poll && date % 64 == 0) poll();
        const auto special =
            std::lower_bound(calendar.special.begin(), calendar.special.end(), date,
                             [](const SpecialDate &each, LocalDate wanted) { return each.date < wanted; });
        if (special != calendar.special.end() && special->date == date) {
            for (const Period &period : special->periods) add(period, date);
            continue;
        }
        const int weekday = weekday_of(date);
        for (const WeeklyPeriod &weekly : calendar.weekly)
            if (weekly.weekday == weekday && weekly.valid_from <= date && date < weekly.valid_until)
                add(weekly.period, date);
    }
    std::sort(found.begin(), found.end(), [](const TimeRange &a, const TimeRange &b) {
        return a.from != b.from ? a.from < b.from : a.until < b.until;
    });
    return found;
}

std::vector<TimeRange> merge(std::vector<TimeRange> ranges) {
    std::sort(ranges.begin(), ranges.end(), [](const TimeRange &a, const TimeRange &b) { return a.from < b.from; });
    std::vector<TimeRange> merged;
    for (const TimeRange &range : ranges) {
        if (range.from >= range.until) continue;
        if (!merged.empty() && range.from <= merged.back().until)
            merged.back().until = std::max(merged.back().until, range.until);
        else
            merged.push_back(range);
    }
    return merged;
}

namespace {
/// The first of the merged ranges that ends after the instant.
auto first_after(std::span<const TimeRange> merged, Instant instant) {
    return std::upper_bound(merged.begin(), merged.end(), instant,
                            [](Instant at, const TimeRange &range) { return at < range.until; });
}
} // namespace

bool covers(std::span<const TimeRange> merged, const TimeRange &range) {
    const auto found = first_after(merged, range.from);
    return found != merged.end() && found->from <= range.from && range.until <= found->until;
}

bool touches(std::span<const TimeRange> merged, const TimeRange &range) {
    const auto found = first_after(merged, range.from);
    return found != merged.end() && found->overlaps(range);
}

std::vector<TimeRange> subtract(std::span<const TimeRange> from, std::span<const TimeRange> taken) {
    std::vector<TimeRange> left;
    for (const TimeRange &range : from) {
        Instant at = range.from;
        for (auto each = first_after(taken, at); each != taken.end() && each->from < range.until; ++each) {
            if (at < each->from) left.push_back({at, each->from});
            at = std::max(at, each->until);
        }
        if (at < range.until) left.push_back({at, range.until});
    }
    return left;
}

} // namespace usher::hours
