// iCalendar (RFC 5545): what a calendar application reads about a booking.
#pragma once
#include "common/types.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::ical {

enum class Status : std::uint8_t { tentative, confirmed, cancelled };

struct Event {
    std::string uid;           // the same for ever: calendars replace the event by it
    std::int64_t sequence = 0; // greater with every revision
    Status status = Status::tentative;
    Instant start = 0, end = 0; // written in UTC: no VTIMEZONE is needed, and no rule can become wrong
    Instant created = 0, modified = 0;
    std::string summary, description, location;           // empty: left out
    std::vector<std::pair<std::string, std::string>> geo; // at most one: latitude, longitude
};

/// One VCALENDAR with the events, lines folded and ended by CRLF.
std::string calendar(const std::vector<Event> &events);

/// A TEXT value with its special characters escaped (section 3.3.11); other control characters are left out.
std::string escape_text(std::string_view text);
/// A content line of any length as lines of at most 75 octets, never cut inside a character (section 3.1).
std::string fold(std::string_view line);
/// 20261101T053000Z. Parts of seconds are cut off.
std::string utc(Instant instant);

} // namespace usher::ical
