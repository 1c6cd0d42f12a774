// find_slots(): everything a window needs is read in a handful of statements; the rest is arithmetic.
#include "core/slots.hpp"
#include "access/access.hpp"
#include "booking/calendar.hpp"
#include "booking/zones.hpp"
#include "core/json_object.hpp"
#include <map>

namespace usher::booking {

namespace {
constinit Statement find_service{
    "SELECT s.duration, s.slot_step, s.buffer_before, s.buffer_after, s.min_notice, s.horizon, s.needs_staff"
    " FROM @.services AS s WHERE s.id = $1 AND s.is_active"
    " AND EXISTS (SELECT FROM @.location_services AS o WHERE o.location_id = $2 AND o.service_id = s.id)",
    pg::Access::read};
constinit Statement find_staff{
    "SELECT ls.staff_id, ls.role, ls.hours_version FROM @.location_staff AS ls"
    " WHERE ls.location_id = $1 AND ls.is_active AND ls.bookable AND ($3 IS NULL OR ls.staff_id = $3)"
    " AND (NOT EXISTS (SELECT FROM @.staff_skills AS k WHERE k.staff_id = ls.staff_id)"
    " OR EXISTS (SELECT FROM @.staff_skills AS k WHERE k.staff_id = ls.staff_id AND k.service_id = $2))"
    " ORDER BY ls.staff_id",
    pg::Access::read};
// Holds that ran out are free again. There are few that nobody has swept away yet: to know them costs less than to look
// at the booking of each claim.
#define EXPIRED "(SELECT x.id FROM @.bookings AS x WHERE x.status = 'pending' AND x.hold_expires_at <= $4)"
constinit Statement find_busy{"SELECT c.resource_id, pg_catalog.lower(c.during), pg_catalog.upper(c.during)"
                              " FROM pg_catalog.unnest($1) AS s (id) JOIN @.booking_claims AS c ON c.resource_kind = "
                              "'staff' AND c.resource_id = s.id"
                              " AND c.live AND c.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3)"
                              " WHERE c.booking_id NOT IN " EXPIRED,
                              pg::Access::read};
constinit Statement find_time_off{
    "SELECT t.staff_id, pg_catalog.lower(t.during), pg_catalog.upper(t.during) FROM @.staff_time_off AS t"
    " WHERE t.staff_id = ANY ($1) AND t.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3)",
    pg::Access::read};
constinit Statement find_occupied{
    "SELECT b.start_at, b.end_at FROM @.bookings AS b WHERE b.location_id = $1 AND b.occupies AND NOT b.by_appointment"
    " AND b.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3)"
    " AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > $4)",
    pg::Access::read};
constinit Statement find_appointments{
    "SELECT a.start_at, a.end_at FROM @.appointments AS a WHERE a.location_id = $1 AND a.occupies"
    " AND a.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3) AND a.booking_id NOT IN " EXPIRED,
    pg::Access::read};

constexpr std::int64_t longest_window = 93 * day_us;

[[noreturn]] void refuse_window() {
    throw Error(errc::invalid_argument, "the window must end after it starts and span at most 93 days",
                R"({"argument":"window_end"})");
}

/// From minus or plus infinity where a range has no end.
TimeRange range_of(const pg::Row &row, int lower, int upper) {
    return {row.is_null(lower) ? INT64_MIN : row.time(lower), row.is_null(upper) ? INT64_MAX : row.time(upper)};
}

/// Who could do it at all, with when they are at work and what keeps them busy.
std::vector<slots::Staff> read_staff(const Schema &schema, const Location &location, const Uuid &service,
                                     const std::optional<Uuid> &wanted, const TimeRange &around, const Zone &zone,
                                     std::span<const TimeRange> open) {
    std::vector<slots::Staff> staff;
    std::vector<Uuid> ids;
    const pg::Rows rows = find_staff.run(schema, {pg::uuid(location.id), pg::uuid(service), pg::uuid_or_null(wanted)});
    const std::string scope = to_string(location.id);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Uuid id = rows[i].uuid(0);
        if (!access::has_role(id, rows[i].text(1), scope)) continue;
        const auto calendar = staff_calendar(schema, location.id, id, rows[i].uuid(2), Reading::plain);
        std::vector<TimeRange> at_work(open.begin(), open.end());
        if (calendar) at_work = hours::merge(hours::open_periods(*calendar, zone, around, pg::poll));
        staff.push_back({id, std::move(at_work), {}});
        ids.push_back(id);
    }
    std::map<Uuid, std::vector<TimeRange>> busy, off;
    const pg::Param from = pg::timestamptz(around.from), until = pg::timestamptz(around.until);
    const pg::Rows claims =
        find_busy.run(schema, {pg::uuid_array(ids), from, until, pg::timestamptz(pg::clock_time())});
    for (std::size_t i = 0; i < claims.size(); ++i) busy[claims[i].uuid(0)].push_back(range_of(claims[i], 1, 2));
    const pg::Rows away = find_time_off.run(schema, {pg::uuid_array(ids), from, until});
    for (std::size_t i = 0; i < away.size(); ++i) off[away[i].uuid(0)].push_back(range_of(away[i], 1, 2));
    for (slots::Staff &each : staff) {
        each.busy = hours::merge(std::move(busy[each.id]));
        std::vector<TimeRange> taken = each.busy; // time off takes buffers as well, like the check of a booking
        for (const TimeRange &range : off[each.id]) taken.push_back(range);
        each.busy = hours::merge(std::move(taken));
    }
    return staff;
}

void add_slots(pg::RowSet &out, const std::vector<slots::Slot> &found, std::int64_t duration, const Zone &zone) {
    constexpr std::int32_t unix_to_postgres_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
    for (const slots::Slot &slot : found) {
        const LocalTime local = zone.to_local(slot.start);
        out.add({pg::timestamptz(slot.start), pg::timestamptz(slot.start + duration),
                 pg::datum(TIMESTAMPOID, TimestampGetDatum(pg::timestamp_of(local))),
                 pg::datum(DATEOID, DateADTGetDatum(date_of(local) - unix_to_postgres_days)),
                 pg::int4(slot.free_places), pg::uuid_array(slot.staff)});
    }
}
} // namespace

} // namespace usher::booking

USHER_FUNCTION(usher_booking_find_slots) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid location_id = args.uuid(0), service_id = args.uuid(1);
    const std::optional<Uuid> wanted = args.optional_uuid(4);
    const Instant now = pg::transaction_time();
    slots::Search search;
    search.window.from = args.optional_time(2).value_or(now);
    if (TIMESTAMP_NOT_FINITE(pg::timestamp_of(search.window.from))) refuse_window();
    search.window.until = args.optional_time(3).value_or(search.window.from + 7 * day_us);
    if (TIMESTAMP_NOT_FINITE(pg::timestamp_of(search.window.until)) || search.window.until <= search.window.from ||
        search.window.until - search.window.from > longest_window)
        refuse_window();
    const std::int32_t max_rows = args.int4(5);
    if (max_rows < 1 || max_rows > 10000)
        throw Error(errc::invalid_argument, "max_rows must be between 1 and 10000", R"({"argument":"max_rows"})");
    search.max_slots = max_rows;

    const std::optional<Location> location = find_location(schema, location_id, Reading::plain);
    const pg::Rows services = find_service.run(schema, {pg::uuid(service_id), pg::uuid(location_id)});
    if (!location || !location->is_active || services.empty())
        throw Error(errc::unknown_reference, "location does not offer this service",
                    json::Object().add("location_id", location_id).add("service_id", service_id).text());
    const pg::Row service = services.front();
    search.terms = {service.interval_us(0), service.interval_us(1), service.interval_us(2), service.interval_us(3)};
    search.window.from = std::max(search.window.from, now + service.interval_us(4));
    search.last_start = now + service.interval_us(5);
    search.needs_staff = service.boolean(6) || wanted.has_value();
    search.places = location->places;

    pg::RowSet out(fcinfo);
    if (search.window.from >= search.window.until) return out.finish();
    const std::shared_ptr<const Zone> zone = zone_named(location->zone, search.window);
    search.periods =
        hours::open_periods(*location_calendar(schema, *location, Reading::plain), *zone, search.window, pg::poll);
    if (search.periods.empty()) return out.finish();
    const TimeRange around{search.window.from - search.terms.buffer_before,
                           search.window.until + search.terms.buffer_after};
    const std::vector<slots::Staff> staff =
        read_staff(schema, *location, service_id, wanted, around, *zone, hours::merge(search.periods));
    const auto params = {pg::uuid(location_id), pg::timestamptz(search.window.from),
                         pg::timestamptz(search.window.until), pg::timestamptz(pg::clock_time())};
    std::vector<TimeRange> occupied;
    const auto occupy = [&](const pg::Rows &rows) {
        for (std::size_t i = 0; i < rows.size(); ++i) occupied.push_back({rows[i].time(0), rows[i].time(1)});
    };
    occupy(find_occupied.run(schema, params));
    if (was_ever_used(schema, "appointments")) occupy(find_appointments.run(schema, params));
    add_slots(out, slots::find(search, slots::Occupancy(occupied), staff, pg::poll), search.terms.duration, *zone);
    return out.finish();
}
