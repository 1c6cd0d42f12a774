// export_booking_ical(): a booking as iCalendar; one by appointment as its appointments.
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/calendar/icalendar.hpp"

namespace usher::booking {

namespace {
// The SQL function around this one checks who may see the booking.
constinit Statement find_events{R"(
    SELECT e.id, e.version, e.status, e.start_at,
           e.end_at, e.created_at, e.updated_at, b.service_name, coalesce(b.special_instructions, ''),
           pg_catalog.concat_ws(', ', l.name, l.address, nullif(l.city, ''),
                                nullif(pg_catalog.btrim(l.state || ' ' || l.zip_code), ''), l.country),
           l.latitude::text, l.longitude::text
    FROM @.bookings AS b JOIN @.locations AS l ON l.id = b.location_id
        CROSS JOIN LATERAL (SELECT b.id, b.version, b.status, b.start_at, b.end_at, b.created_at, b.updated_at
                            WHERE NOT b.by_appointment
                              OR NOT EXISTS (SELECT FROM @.appointments AS a WHERE a.booking_id = b.id)
                            UNION ALL SELECT a.id, a.version,
                                CASE WHEN b.status = 'pending' AND a.status = 'scheduled' THEN 'pending'
                                     ELSE a.status END,
                                a.start_at, a.end_at, a.created_at, a.updated_at
                            FROM @.appointments AS a WHERE b.by_appointment AND a.booking_id = b.id) AS e
    WHERE b.id = $1 ORDER BY e.start_at, e.id)",
                                pg::Access::read};

ical::Status status_of(std::string_view status) {
    if (status == "pending") return ical::Status::tentative;
    if (status == "cancelled" || status == "no_show") return ical::Status::cancelled;
    return ical::Status::confirmed;
}
} // namespace

} // namespace usher::booking

/// _booking_ical(booking_id uuid)
USHER_FUNCTION(usher_booking_ical) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const pg::Rows rows = find_events.run(schema, {pg::uuid(args.uuid(0))});
    if (rows.empty()) return pg::null_result(fcinfo);
    std::vector<ical::Event> events;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        ical::Event event;
        event.uid = to_string(row.uuid(0));
        event.sequence = row.int4(1);
        event.status = status_of(row.text(2));
        event.start = row.time(3);
        event.end = row.time(4);
        event.created = row.time(5);
        event.modified = row.time(6);
        event.summary = row.string(7);
        event.description = row.string(8);
        event.location = row.string(9);
        if (!row.is_null(10) && !row.is_null(11)) event.geo.emplace_back(row.string(10), row.string(11));
        events.push_back(std::move(event));
    }
    const std::string file = ical::calendar(events);
    return pg::result(pg::text(file));
}
