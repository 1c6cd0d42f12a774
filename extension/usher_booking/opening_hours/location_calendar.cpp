#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/opening_hours/opening_hours_json.hpp"
#include "usher_booking/opening_hours/zones.hpp"

namespace usher::booking {

namespace {
constexpr std::int32_t unix_to_postgres_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
constexpr std::size_t max_calendars = 4096;

#define LOCATION_COLUMNS                                                                                               \
    "SELECT l.time_zone, l.max_concurrent_bookings, l.is_active, l.hours_version FROM @.locations AS l WHERE l.id = "  \
    "$1"
constinit Statement read_location{LOCATION_COLUMNS, pg::Access::read};
// A change of the capacity, the hours or the zone waits for whoever books now.
constinit Statement lock_location{LOCATION_COLUMNS " FOR SHARE"};

#define HOURS_COLUMNS "SELECT h.weekday, h.opens, h.closes, pg_catalog.lower(h.valid), pg_catalog.upper(h.valid)"
constinit Statement read_hours{HOURS_COLUMNS " FROM @.location_hours AS h WHERE h.location_id = $1", pg::Access::read};
constinit Statement latest_hours{HOURS_COLUMNS " FROM @.location_hours AS h WHERE h.location_id = $1"};
#define SPECIAL                                                                                                        \
    "SELECT e.local_date, e.periods::text FROM @.location_exceptions AS e WHERE e.location_id = $1 ORDER BY "          \
    "e.local_date"
constinit Statement read_special{SPECIAL, pg::Access::read};
constinit Statement latest_special{SPECIAL};
#define STAFF_HOURS HOURS_COLUMNS " FROM @.staff_hours AS h WHERE h.location_id = $1 AND h.staff_id = $2"
constinit Statement read_staff_hours{STAFF_HOURS, pg::Access::read};
constinit Statement latest_staff_hours{STAFF_HOURS};

/// By the version of the hours, which is unique: a kept calendar never becomes wrong, only unused.
using Calendars = std::unordered_map<Uuid, std::shared_ptr<const hours::Calendar>>;
Calendars *calendars = nullptr; // never deleted: a backend ends without unwinding

std::shared_ptr<const hours::Calendar> keep(const Uuid &version, std::shared_ptr<const hours::Calendar> calendar) {
    if (calendars->size() >= max_calendars) calendars->clear();
    (*calendars)[version] = calendar;
    return calendar;
}

const std::shared_ptr<const hours::Calendar> *find_kept(const Uuid &version) {
    if (calendars == nullptr) calendars = new Calendars;
    const auto found = calendars->find(version);
    return found == calendars->end() ? nullptr : &found->second;
}

LocalDate date_at(const pg::Row &row, int column, LocalDate when_null) {
    if (row.is_null(column)) return when_null;
    const DateADT date = DatumGetDateADT(row.datum(column, DATEOID));
    if (DATE_IS_NOBEGIN(date)) return INT32_MIN;
    if (DATE_IS_NOEND(date)) return INT32_MAX;
    return date + unix_to_postgres_days;
}

std::vector<hours::WeeklyPeriod> weekly_periods(const pg::Rows &rows) {
    std::vector<hours::WeeklyPeriod> weekly;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        weekly.push_back({row.int4(0),
                          {DatumGetTimeADT(row.datum(1, TIMEOID)), DatumGetTimeADT(row.datum(2, TIMEOID))},
                          date_at(row, 3, INT32_MIN),
                          date_at(row, 4, INT32_MAX)});
    }
    return weekly;
}
} // namespace

std::optional<Location> find_location(const Schema &schema, const Uuid &id, Reading reading) {
    const pg::Rows rows = (reading == Reading::locked ? lock_location : read_location).run(schema, {pg::uuid(id)});
    if (rows.empty()) return std::nullopt;
    const pg::Row row = rows.front();
    return Location{id, row.string(0), row.int4(1), row.boolean(2), row.uuid(3)};
}

std::shared_ptr<const hours::Calendar> location_calendar(const Schema &schema, const Location &location,
                                                         Reading reading) {
    if (const auto *const kept = find_kept(location.hours_version)) return *kept;
    const bool is_locked = reading == Reading::locked;
    const auto calendar = std::make_shared<hours::Calendar>();
    calendar->weekly = weekly_periods((is_locked ? latest_hours : read_hours).run(schema, {pg::uuid(location.id)}));
    const pg::Rows special = (is_locked ? latest_special : read_special).run(schema, {pg::uuid(location.id)});
    for (std::size_t i = 0; i < special.size(); ++i)
        calendar->special.push_back({date_at(special[i], 0, 0), hours::parse_periods(special[i].text(1))});
    return keep(location.hours_version, calendar);
}

std::shared_ptr<const hours::Calendar> staff_calendar(const Schema &schema, const Uuid &location, const Uuid &staff,
                                                      const Uuid &hours_version, Reading reading) {
    if (const auto *const kept = find_kept(hours_version)) return *kept;
    const pg::Rows rows = (reading == Reading::locked ? latest_staff_hours : read_staff_hours)
                              .run(schema, {pg::uuid(location), pg::uuid(staff)});
    if (rows.empty()) return keep(hours_version, nullptr);
    const auto calendar = std::make_shared<hours::Calendar>();
    calendar->weekly = weekly_periods(rows);
    return keep(hours_version, calendar);
}

bool covers(const std::shared_ptr<const hours::Calendar> &calendar, const std::string &zone, const TimeRange &range) {
    if (!calendar) return true;
    return hours::covers(hours::merge(hours::open_periods(*calendar, *zone_named(zone, range), range, pg::poll)),
                         range);
}

bool is_open(const Schema &schema, const Location &location, const TimeRange &range, Reading reading) {
    return covers(location_calendar(schema, location, reading), location.zone, range);
}

} // namespace usher::booking
