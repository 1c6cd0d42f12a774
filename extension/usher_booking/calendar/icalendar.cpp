#include "usher_booking/calendar/icalendar.hpp"
#include "common/utf8.hpp"
#include "common/zone.hpp"
#include <cstdio>

namespace usher::ical {

namespace {
constexpr std::size_t max_octets = 75; // without the line break

/// Year, month and day of a number of days since 1970-01-01 (proleptic Gregorian calendar).
struct Civil {
    std::int64_t year;
    unsigned month, day;
};
Civil civil_of(std::int64_t days) {
    // Eras of 400 years that begin on 1 March, so that the leap day is the last of a year.
    days += 719'468;
    const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    const auto of_era = static_cast<unsigned>(days - era * 146'097);
    const unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
    const unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned shifted = (5 * of_year + 2) / 153;
    const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month,
            of_year - (153 * shifted + 2) / 5 + 1};
}

const char *name_of(Status status) {
    switch (status) {
    case Status::tentative: return "TENTATIVE";
    case Status::confirmed: return "CONFIRMED";
    case Status::cancelled: return "CANCELLED";
    }
    return "TENTATIVE";
}

void add(std::string &out, const std::string &line) { out += fold(line); }

void add_text(std::string &out, const char *name, const std::string &value) {
    if (!value.empty()) add(out, name + (":" + escape_text(value)));
}

void add_event(std::string &out, const Event &event) {
    add(out, "BEGIN:VEVENT");
    add_text(out, "UID", event.uid);
    add(out, "DTSTAMP:" + utc(event.modified));
    add(out, "CREATED:" + utc(event.created));
    add(out, "LAST-MODIFIED:" + utc(event.modified));
    add(out, "SEQUENCE:" + std::to_string(event.sequence));
    add(out, "STATUS:" + std::string(name_of(event.status)));
    add(out, "DTSTART:" + utc(event.start));
    add(out, "DTEND:" + utc(event.end));
    add_text(out, "SUMMARY", event.summary);
    add_text(out, "DESCRIPTION", event.description);
    add_text(out, "LOCATION", event.location);
    for (const auto &[latitude, longitude] : event.geo) add(out, "GEO:" + latitude + ";" + longitude);
    add(out, event.status == Status::cancelled ? "TRANSP:TRANSPARENT" : "TRANSP:OPAQUE");
    add(out, "END:VEVENT");
}
} // namespace

std::string escape_text(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\' || c == ';' || c == ',')
            (out += '\\') += c;
        else if (c == '\n' || (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')))
            out += "\\n";
        else if (c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f'))
            out += c;
    }
    return out;
}

std::string fold(std::string_view line) {
    std::string out;
    std::size_t room = max_octets;
    while (line.size() > room) {
        const std::string_view part = clip(line, room);
        (out += part) += "\r\n ";
        line.remove_prefix(part.size());
        room = max_octets - 1; // the space counts
    }
    return (out += line) += "\r\n";
}

std::string utc(Instant instant) {
    const LocalDate days = date_of(instant);
    const std::int64_t seconds = (instant - days * day_us) / second_us;
    const Civil date = civil_of(days);
    char text[32];
    std::snprintf(text, sizeof text, "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year), date.month, date.day,
                  static_cast<int>(seconds / 3600), static_cast<int>(seconds / 60 % 60),
                  static_cast<int>(seconds % 60));
    return text;
}

std::string calendar(const std::vector<Event> &events) {
    std::string out;
    add(out, "BEGIN:VCALENDAR");
    add(out, "VERSION:2.0");
    add(out, "PRODID:-//usher//usher_booking//EN");
    add(out, "CALSCALE:GREGORIAN");
    for (const Event &event : events) add_event(out, event);
    add(out, "END:VCALENDAR");
    return out;
}

} // namespace usher::ical
