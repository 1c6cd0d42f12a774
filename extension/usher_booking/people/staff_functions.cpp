// SQL faces of the checks that triggers written in SQL need as well.
#include "common/json_object.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/people/people.hpp"
#include "usher_booking/slots/facts.hpp"

/// _lock_staff(location_id, service_id, staff_id, start_at, end_at, buffer_before, buffer_after)
USHER_FUNCTION(usher_booking_lock_staff) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::locked);
    if (!location)
        throw Error(errc::unknown_reference, "location does not exist",
                    json::Object().add("location_id", args.uuid(0)).text());
    const TimeRange visible{args.time(3), args.time(4)};
    lock_staff(schema, *location, args.uuid(2),
               {args.uuid(1), visible, {visible.from - args.interval_us(5), visible.until + args.interval_us(6)}});
    return Datum{0};
}

/// _staff_away(location_id, staff_id, start_at, end_at, buffer_before, buffer_after)
USHER_FUNCTION(usher_booking_staff_away) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::plain);
    if (!location) return pg::null_result(fcinfo);
    const TimeRange visible{args.time(2), args.time(3)};
    const slots::Duty duty{{}, visible, {visible.from - args.interval_us(4), visible.until + args.interval_us(5)}};
    const std::shared_ptr<const Zone> zone = zone_named(location->zone, duty.claimed);
    const slots::Staff staff =
        read_staff(schema, {*location, duty.service, args.uuid(1), duty.claimed, *zone}, Reading::plain).front();
    if (!slots::keeps(staff, slots::StaffRule::hours, duty)) return pg::result(pg::text("staff_hours"));
    if (!slots::keeps(staff, slots::StaffRule::time_off, duty)) return pg::result(pg::text("staff_time_off"));
    return pg::null_result(fcinfo);
}

/// _lock_customer(customer_id)
USHER_FUNCTION(usher_booking_lock_customer) {
    const usher::pg::Args args(fcinfo);
    const usher::booking::Schema schema(fcinfo);
    usher::booking::lock_customer(schema, args.uuid(0));
    return Datum{0};
}
