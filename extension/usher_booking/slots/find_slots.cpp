// find_slots(): everything a window needs is read in a handful of statements; the rest is arithmetic.
#include "common/json_object.hpp"
#include "usher_booking/bookings/service_terms.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/slots/facts.hpp"
#include "usher_booking/slots/slots.hpp"

namespace usher::booking {

namespace {
constexpr std::int64_t longest_window = 93 * day_us;

[[noreturn]] void refuse_window() {
    throw Error(errc::invalid_argument, "the window must end after it starts and span at most 93 days",
                R"({"argument":"window_end"})");
}

TimeRange window_argument(const pg::Args &args, Instant now) {
    const Instant from = args.optional_time(2).value_or(now);
    if (TIMESTAMP_NOT_FINITE(pg::timestamp_of(from))) refuse_window();
    const Instant until = args.optional_time(3).value_or(from + 7 * day_us);
    if (TIMESTAMP_NOT_FINITE(pg::timestamp_of(until)) || until <= from || until - from > longest_window)
        refuse_window();
    return {from, until};
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
    const Instant now = pg::clock_time();
    slots::Search search;
    search.window = window_argument(args, now);
    const std::int32_t max_rows = args.int4(5);
    if (max_rows < 1 || max_rows > 10000)
        throw Error(errc::invalid_argument, "max_rows must be between 1 and 10000", R"({"argument":"max_rows"})");
    search.max_slots = max_rows;

    const std::optional<Location> location = find_location(schema, location_id, Reading::plain);
    const pg::Rows rows = read_terms(schema, service_id, location_id, Reading::plain);
    if (!location || !location->is_active || rows.empty() || !rows.front().boolean(service_is_active) ||
        !rows.front().boolean(is_offered))
        throw Error(errc::unknown_reference, "location does not offer this service",
                    json::Object().add("location_id", location_id).add("service_id", service_id).text());
    search.service = service_id;
    search.terms = terms_of(rows.front());
    search.starts = slots::allowed_starts(search.terms, now, slots::Asker::customer);
    search.window.from = std::max(search.window.from, search.starts.first);
    search.needs_staff = rows.front().boolean(term_needs_staff) || wanted.has_value();
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
        read_staff(schema, {*location, service_id, wanted, around, *zone}, Reading::plain);
    const Places places =
        read_places(schema, {.location = location_id, .range = search.window, .without = {}}, Reading::plain);
    add_slots(out, slots::find(search, slots::Occupancy(places.taken), staff, pg::poll), search.terms.duration, *zone);
    return out.finish();
}
