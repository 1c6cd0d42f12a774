// Opening hours: weekly periods of local wall time and exceptions of single dates, turned into instants. Days are
// walked by date, never by adding 24 hours: a day has 23 or 25 of them when the clocks change.
#pragma once
#include "common/poll.hpp"
#include "common/zone.hpp"
#include <span>
#include <vector>

namespace usher::hours {

/// Wall time of one day in microseconds since midnight. A period that closes at or before its opening ends on the next
/// day; 24:00 is midnight at the end of the day.
struct Period {
    std::int64_t opens_us = 0;
    std::int64_t closes_us = 0;
};

struct WeeklyPeriod {
    int weekday = 1; // ISO 8601
    Period period;
    LocalDate valid_from = INT32_MIN; // [valid_from, valid_until)
    LocalDate valid_until = INT32_MAX;
};

/// Replaces the weekly periods of its date; no period at all means closed.
struct SpecialDate {
    LocalDate date = 0;
    std::vector<Period> periods;
};

struct Calendar {
    std::vector<WeeklyPeriod> weekly;
    std::vector<SpecialDate> special; // sorted by date
};

/// The instants of a period of a date: opening in a repeated hour means its first occurrence, closing its last, and
/// what the clocks skip begins and ends where the gap ends. Empty when nothing is left.
TimeRange instants_of(const Period &period, LocalDate date, const Zone &zone);

/// The periods that touch the window, by start; not merged, because a grid of slots starts anew with each.
std::vector<TimeRange> open_periods(const Calendar &calendar, const Zone &zone, const TimeRange &window,
                                    const Poll &poll = {});

/// Sorted, with what touches or overlaps made one.
std::vector<TimeRange> merge(std::vector<TimeRange> ranges);
/// Do the merged ranges cover all of `range`?
bool covers(std::span<const TimeRange> merged, const TimeRange &range);
/// Does any of the merged ranges overlap `range`?
bool touches(std::span<const TimeRange> merged, const TimeRange &range);
/// What of `from` is not in `taken`; merged in, merged out.
std::vector<TimeRange> subtract(std::span<const TimeRange> from, std::span<const TimeRange> taken);

} // namespace usher::hours
