// What the rules of a booking (rules.hpp) go by, read from the tables.
#pragma once
#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/slots/rules.hpp"

namespace usher::booking {

/// What takes places of a location in some range, and how many it has.
struct Places {
    std::vector<TimeRange> taken;
    int total = 0;           // 0 when nothing is taken: then it has not been asked
    bool counts_one = false; // the holder that was left out is among those that take a place
};

struct PlacesQuestion {
    Uuid location;
    TimeRange range;
    std::optional<Uuid> without; // a booking or appointment that is not to be counted
    bool with_overbooked = true;
};
/// Bookings and appointments whose hold is not over. `locked`: as the tables are now.
Places read_places(const Schema &schema, const PlacesQuestion &question, Reading reading);

struct StaffQuestion {
    const Location &location;
    Uuid service;
    std::optional<Uuid> only; // whatever they are to the location; when nobody is named, all who are assigned to it
    TimeRange range;          // what is asked about, buffers included
    const Zone &zone;
};
/// Who could do it, sorted by id, with all that the rules ask. As the calling query sees the tables; `claims` says how
/// the claims of others are read.
std::vector<slots::Staff> read_staff(const Schema &schema, const StaffQuestion &question, Reading claims);

/// When a person is busy with bookings other than this one (merged); holds that are over do not count.
std::vector<TimeRange> read_busy(const Schema &schema, const char *kind, const Uuid &person, const TimeRange &range,
                                 const std::optional<Uuid> &without_booking, Reading reading);

struct DayQuestion {
    Uuid customer, service, location;
    TimeRange day;
    std::optional<Uuid> without; // a booking that is not to be counted
};
/// How many bookings of the service a customer has at the location that start on the day. Cancelled ones and holds that
/// are over do not count.
int count_of_day(const Schema &schema, const DayQuestion &question, Reading reading);

/// The skills of a staff member: services, or nothing for all of them.
std::vector<Uuid> read_skills(const Schema &schema, const Uuid &staff);

} // namespace usher::booking
