// Free slots: where a service of some length still fits, given who works when, who is busy, and how full the place is.
#pragma once
#include "core/opening_hours.hpp"

namespace usher::slots {

/// How many bookings there are at each instant: built once, asked often.
class Occupancy {
public:
    explicit Occupancy(std::span<const TimeRange> bookings);
    /// The largest number at the same instant inside the range. The peak, not the number of bookings that touch it: two
    /// short ones after each other take one place.
    [[nodiscard]] int peak(const TimeRange &range) const;

private:
    struct Level {
        Instant from;
        int count;
    };
    std::vector<Level> levels_; // each until the next
};

struct Staff {
    Uuid id;
    std::vector<TimeRange> at_work; // merged
    std::vector<TimeRange> busy;    // merged, with the buffers of what they are busy with
};

struct Terms { // of the service, in microseconds
    std::int64_t duration = 0;
    std::int64_t step = 0;
    std::int64_t buffer_before = 0;
    std::int64_t buffer_after = 0;
};

struct Slot {
    Instant start = 0;
    int free_places = 0;
    std::vector<Uuid> staff; // who could do it, sorted by id
};

/// Does a slot begin at this instant? Grids start with each opening period.
bool on_grid(std::span<const TimeRange> periods, Instant start, std::int64_t step);

struct Search {
    std::vector<TimeRange> periods; // of the location, not merged
    TimeRange window;               // slots lie in it completely
    Instant last_start = 0;         // slots begin before it
    Terms terms;
    int places = 0;
    bool needs_staff = true;
    std::size_t max_slots = 0;
};
/// By start. `staff` is sorted by id.
std::vector<Slot> find(const Search &search, const Occupancy &occupancy, std::span<const Staff> staff,
                       const hours::Poll &poll = {});

} // namespace usher::slots
