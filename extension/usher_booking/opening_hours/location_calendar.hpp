// The hours of locations and of their staff, as the core wants them.
#pragma once
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/opening_hours/opening_hours.hpp"
#include <memory>

namespace usher::booking {

struct Location {
    Uuid id;
    std::string zone;
    int places = 0;
    bool is_active = false;
    Uuid hours_version; // new with every change of its hours
};

/// How the row is read: as the calling query sees it, or as it is now and held until the end of the transaction.
enum class Reading : std::uint8_t { plain, locked };

/// Nothing when there is no such location.
std::optional<Location> find_location(const Schema &schema, const Uuid &id, Reading reading);

/// Its weekly hours and exceptions. Kept in the backend under the location's hours_version, which makes what is kept
/// right in every snapshot.
std::shared_ptr<const hours::Calendar> location_calendar(const Schema &schema, const Location &location,
                                                         Reading reading);

/// When a staff member is at work at a location; nullptr for whoever has no hours there: always when it is open.
std::shared_ptr<const hours::Calendar> staff_calendar(const Schema &schema, const Uuid &location, const Uuid &staff,
                                                      const Uuid &hours_version, Reading reading);

/// Is the location open during the whole range?
bool is_open(const Schema &schema, const Location &location, const TimeRange &range, Reading reading);
/// Does the calendar (of nobody: always) cover the whole range?
bool covers(const std::shared_ptr<const hours::Calendar> &calendar, const std::string &zone, const TimeRange &range);

} // namespace usher::booking
