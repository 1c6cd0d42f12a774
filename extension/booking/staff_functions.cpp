// SQL faces of the checks that triggers written in SQL need as well.
#include "booking/people.hpp"
#include "core/json_object.hpp"

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

/// _lock_customer(customer_id)
USHER_FUNCTION(usher_booking_lock_customer) {
    const usher::pg::Args args(fcinfo);
    const usher::booking::Schema schema(fcinfo);
    usher::booking::lock_customer(schema, args.uuid(0));
    return Datum{0};
}
