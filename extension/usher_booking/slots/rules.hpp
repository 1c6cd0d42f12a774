// The rules of a booking, each in one place. Whoever needs an answer (the search for free slots, the explanation of
// one, the triggers that let a booking be written) reads the facts in its own way and decides here.
#pragma once
#include "usher_booking/opening_hours/opening_hours.hpp"
#include "usher_booking/slots/hold.hpp"

namespace usher::slots {

struct Terms { // of a service, in microseconds
    std::int64_t duration = 0;
    std::int64_t step = 0;
    std::int64_t buffer_before = 0;
    std::int64_t buffer_after = 0;
    std::int64_t min_notice = 0;
    std::int64_t horizon = 0;
};

/// What a booking asks of people: the customer for the visible time, staff for the buffers around it as well.
struct Duty {
    Uuid service;
    TimeRange visible;
    TimeRange claimed;
};
Duty duty_at(Instant start, const Terms &terms, const Uuid &service);

// --- when ------------------------------------------------------------------------------------------------------------

enum class Asker : std::uint8_t { customer, manager };

/// The starts that may be booked at a moment, both ends included.
struct Starts {
    Instant first = INT64_MIN;
    Instant last = INT64_MAX;
};
/// Customers keep the notice and the horizon of the service. Managers book whoever stands at the door, at any minute,
/// but nobody books the past.
Starts allowed_starts(const Terms &terms, Instant now, Asker asker);

/// Does a slot begin at this instant? Grids start with each opening period; while it is closed there is none.
bool on_grid(std::span<const TimeRange> periods, Instant start, std::int64_t step);

// --- places ----------------------------------------------------------------------------------------------------------

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

/// How many more bookings fit beside the others during the whole range; below 1: none.
int free_places(int places, const Occupancy &others, const TimeRange &visible);

// --- people ----------------------------------------------------------------------------------------------------------

struct Staff {
    Uuid id;
    bool is_active = true;                         // an active user
    bool is_assigned = true;                       // works here, takes bookings, and still has the role for it
    std::vector<Uuid> skills;                      // services; nothing: all of them
    std::optional<std::vector<TimeRange>> at_work; // merged; nothing: whenever the place is open
    std::vector<TimeRange> away;                   // time off, merged
    std::vector<TimeRange> claims;                 // of other bookings, with the buffers of those
    std::vector<TimeRange> busy;                   // the same, merged
};

enum class StaffRule : std::uint8_t { active_user, assigned, skilled, time_off, hours, free };

bool keeps(const Staff &staff, StaffRule rule, const Duty &duty);
/// The first rule, in the order of the enumeration, that keeps the staff member from the duty; nothing when all is
/// well.
std::optional<StaffRule> first_broken(const Staff &staff, const Duty &duty);

/// Those who could do it, in the order in which they are chosen: whoever is least booked in the 24 hours before and
/// after the start first, then whoever has been idle longest.
std::vector<Staff> choice(std::vector<Staff> staff, const Duty &duty);
/// Whose claims that takes.
TimeRange load_range(const Duty &duty);

/// Is a customer with these claims of others, merged, free for another booking?
bool is_free(std::span<const TimeRange> busy, const TimeRange &visible);

/// May a customer who has this many others on the day have one more?
bool is_within_limit(std::optional<int> daily_limit, int others);

} // namespace usher::slots
