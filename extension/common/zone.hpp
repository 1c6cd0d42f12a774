// Wall time and instants of one time zone. The clock changes are data that come from outside: from PostgreSQL's own
// zone files in the server, from literals in the tests.
#pragma once
#include "common/types.hpp"
#include <cstdint>
#include <vector>

namespace usher {

/// What clocks show: microseconds since 1970-01-01 00:00 on the wall. Not an instant.
using LocalTime = std::int64_t;
/// Days since 1970-01-01 on the calendar.
using LocalDate = std::int32_t;

constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t day_us = 86'400 * second_us;

/// Half open: [from, until).
struct TimeRange {
    Instant from = 0;
    Instant until = 0;
    friend bool operator==(const TimeRange &, const TimeRange &) = default;
    [[nodiscard]] bool overlaps(const TimeRange &other) const { return from < other.until && other.from < until; }
};

/// From `at` on, clocks show UTC plus `offset_s` seconds.
struct ClockChange {
    Instant at = 0;
    std::int32_t offset_s = 0;
};

/// A wall time that happens twice, in autumn, stands for two instants.
enum class Occurrence : std::uint8_t { first, last };

class Zone {
public:
    /// `offset_s` holds until the first change; changes are sorted by time.
    Zone(std::int32_t offset_s, std::vector<ClockChange> changes);

    [[nodiscard]] std::int32_t offset_at(Instant instant) const;
    [[nodiscard]] LocalTime to_local(Instant instant) const { return instant + offset_at(instant) * second_us; }
    [[nodiscard]] LocalDate date_of(Instant instant) const;
    /// The instant of a wall time. One that the clocks skip stands for the first instant after the gap.
    [[nodiscard]] Instant to_instant(LocalTime local, Occurrence which = Occurrence::first) const;
    /// From the first to the last instant of a day: 23, 24 or 25 hours, or nothing where a whole day was skipped.
    [[nodiscard]] TimeRange day(LocalDate date) const;

private:
    std::int32_t first_offset_s_;
    std::vector<ClockChange> changes_;
};

/// The calendar date of a wall time; before 1970 too.
LocalDate date_of(LocalTime local);
/// ISO 8601: Monday is 1, Sunday is 7.
int weekday_of(LocalDate date);

} // namespace usher
