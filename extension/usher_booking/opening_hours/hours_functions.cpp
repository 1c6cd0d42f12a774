// SQL functions about opening hours.
#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/opening_hours/opening_hours_json.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/slots/slots.hpp"

using namespace usher;
using namespace usher::booking;

namespace {
constexpr std::int64_t longest_window = 1200 * day_us;

TimeRange window_argument(const pg::Args &args, int first) {
    const TimeRange window{args.time(first), args.time(first + 1)};
    if (window.until > window.from && window.until - window.from > longest_window)
        throw Error(errc::invalid_argument, "the window spans more than 1200 days", R"({"argument":"window_end"})");
    return window;
}

bool is_finite(const pg::Args &args, int i) { return !TIMESTAMP_NOT_FINITE(pg::timestamp_of(args.time(i))); }

std::vector<TimeRange> periods_of(const Schema &schema, const Location &location, const TimeRange &window) {
    const auto calendar = location_calendar(schema, location, Reading::plain);
    return hours::open_periods(*calendar, *zone_named(location.zone, window), window, pg::poll);
}
} // namespace

/// _local_to_instant(local timestamp, zone text, pick text)
USHER_FUNCTION(usher_booking_local_to_instant) {
    const pg::Args args(fcinfo);
    const Timestamp wall = pg::call([&] { return PG_GETARG_TIMESTAMP(0); });
    const LocalTime local = pg::instant_of(TimestampTzGetDatum(wall)); // the same count, of wall time
    if (TIMESTAMP_NOT_FINITE(local)) return TimestampTzGetDatum(wall);
    const Instant instant = zone_named(args.text(1), {local - day_us, local + day_us})
                                ->to_instant(local, args.text(2) == "last" ? Occurrence::last : Occurrence::first);
    return TimestampTzGetDatum(pg::timestamp_of(instant));
}

/// _parse_periods(periods jsonb)
USHER_FUNCTION(usher_booking_parse_periods) {
    const pg::Args args(fcinfo);
    const std::vector<hours::Period> periods = hours::parse_periods(args.optional_output(0).value_or("null"));
    pg::RowSet rows(fcinfo);
    for (const hours::Period &period : periods)
        rows.add({pg::datum(TIMEOID, TimeADTGetDatum(period.opens_us)),
                  pg::datum(TIMEOID, TimeADTGetDatum(period.closes_us))});
    return rows.finish();
}

/// _open_periods(location_id uuid, window_start timestamptz, window_end timestamptz)
USHER_FUNCTION(usher_booking_open_periods) {
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    pg::RowSet rows(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::plain);
    if (!location || !is_finite(args, 1) || !is_finite(args, 2)) return rows.finish();
    for (const TimeRange &period : periods_of(schema, *location, window_argument(args, 1)))
        rows.add({pg::timestamptz(period.from), pg::timestamptz(period.until)});
    return rows.finish();
}

/// _is_open(location_id uuid, start_at timestamptz, end_at timestamptz)
USHER_FUNCTION(usher_booking_is_open) {
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::plain);
    if (!location || !is_finite(args, 1) || !is_finite(args, 2)) return BoolGetDatum(false);
    const TimeRange range = window_argument(args, 1);
    return BoolGetDatum(range.from < range.until && is_open(schema, *location, range, Reading::plain));
}

/// _on_grid(location_id uuid, start_at timestamptz, slot_step interval): NULL when it is closed then
USHER_FUNCTION(usher_booking_on_grid) {
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::plain);
    const std::int64_t step = args.interval_us(2);
    if (step <= 0) throw Error(errc::invalid_argument, "slot_step must be positive", R"({"argument":"slot_step"})");
    if (!location || !is_finite(args, 1)) return pg::null_result(fcinfo);
    const Instant start = args.time(1);
    const std::vector<TimeRange> periods = periods_of(schema, *location, {start, start + 1});
    if (periods.empty()) return pg::null_result(fcinfo);
    return BoolGetDatum(slots::on_grid(periods, start, step));
}

/// _staff_at_work(location_id uuid, staff_id uuid, start_at timestamptz, end_at timestamptz): by their weekly hours;
/// NULL for somebody who is not assigned to the location.
USHER_FUNCTION(usher_booking_staff_at_work) {
    static constinit Statement find_staff{
        "SELECT ls.hours_version FROM @.location_staff AS ls WHERE ls.location_id = $1 AND ls.staff_id = $2",
        pg::Access::read};
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::plain);
    const pg::Rows rows = find_staff.run(schema, {pg::uuid(args.uuid(0)), pg::uuid(args.uuid(1))});
    if (!location || rows.empty() || !is_finite(args, 2) || !is_finite(args, 3)) return pg::null_result(fcinfo);
    const TimeRange range = window_argument(args, 2);
    return BoolGetDatum(covers(staff_calendar(schema, location->id, args.uuid(1), rows.front().uuid(0), Reading::plain),
                               location->zone, range));
}
