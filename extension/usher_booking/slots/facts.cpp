#include "usher_booking/slots/facts.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/slots/index_plans.hpp"
#include <map>
#include <set>

namespace usher::booking {

namespace {
/// A statement in two editions: as the calling query sees the tables, planned for the question, and as the tables are
/// now, with a plan that is kept.
class Question {
public:
    constexpr explicit Question(const char *sql) : plain_(sql, pg::Access::read), latest_(sql) {}
    pg::Rows ask(const Schema &schema, Reading reading, std::initializer_list<pg::Param> params) {
        if (reading == Reading::plain) return plain_.run(schema, params);
        const KeptPlansByIndex planning;
        return latest_.run(schema, params);
    }

private:
    Statement plain_, latest_;
};

#define HOLD "b.status = 'pending', b.hold_expires_at"
#define PLACES "(SELECT l.max_concurrent_bookings FROM @.locations AS l WHERE l.id = $1)"
#define TOUCHES(of) of ".during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3)"
constinit Question find_bookings{
    "SELECT " HOLD ", b.id, b.overbooked, b.start_at, b.end_at, " PLACES
    " FROM @.bookings AS b WHERE b.location_id = $1 AND b.occupies AND NOT b.by_appointment AND " TOUCHES("b")};
constinit Question find_appointments{"SELECT " HOLD ", a.id, a.overbooked, a.start_at, a.end_at, " PLACES
                                     " FROM @.appointments AS a JOIN @.bookings AS b ON b.id = a.booking_id"
                                     " WHERE a.location_id = $1 AND a.occupies AND " TOUCHES("a")};
enum PlaceColumn : std::uint8_t {
    place_pending,
    place_hold,
    place_id,
    place_overbooked,
    place_start,
    place_end,
    place_total
};

// There are few that nobody has swept away yet: to know them costs less than to look at the booking of each claim.
constinit Question find_over{"SELECT b.id FROM @.bookings AS b WHERE " USHER_HOLD_IS_OVER("b", "$1")};
// Kind by kind: each has an index of its own.
#define CLAIMS_OF(kind)                                                                                                \
    "SELECT c.resource_id, c.booking_id, pg_catalog.lower(c.during), pg_catalog.upper(c.during)"                       \
    " FROM pg_catalog.unnest($1) AS s (id) JOIN @.booking_claims AS c ON c.resource_kind = '" kind "'"                 \
    " AND c.resource_id = s.id AND c.live AND " TOUCHES("c")
constinit Question find_staff_claims{CLAIMS_OF("staff")};
constinit Question find_customer_claims{CLAIMS_OF("customer")};

constinit Question find_day{"SELECT " HOLD ", b.id FROM @.bookings AS b WHERE b.customer_id = $1 AND b.service_id = $2"
                            " AND b.location_id = $3 AND b.start_at >= $4 AND b.start_at < $5"
                            " AND b.status <> 'cancelled'"};

constinit Statement find_staff{R"(
    SELECT ls.staff_id, ls.role, ls.hours_version, ls.is_active AND ls.bookable
    FROM @.location_staff AS ls
    WHERE ls.location_id = $1 AND ($2 IS NULL OR ls.staff_id = $2) ORDER BY ls.staff_id)",
                               pg::Access::read};
constinit Statement find_all_skills{
    "SELECT k.staff_id, k.service_id FROM @.staff_skills AS k WHERE k.staff_id = ANY ($1)", pg::Access::read};
constinit Statement find_skills{"SELECT k.service_id FROM @.staff_skills AS k WHERE k.staff_id = $1"};
constinit Statement find_time_off{
    "SELECT t.staff_id, pg_catalog.lower(t.during), pg_catalog.upper(t.during) FROM @.staff_time_off AS t"
    " WHERE t.staff_id = ANY ($1) AND " TOUCHES("t"),
    pg::Access::read};

slots::Hold hold_of(const pg::Row &row) { return {row.boolean(0), row.optional_time(1)}; }

/// From minus or plus infinity where a range has no end.
TimeRange range_of(const pg::Row &row, int lower, int upper) {
    return {row.is_null(lower) ? INT64_MIN : row.time(lower), row.is_null(upper) ? INT64_MAX : row.time(upper)};
}

void add_places(Places &places, const pg::Rows &rows, const PlacesQuestion &question, Instant now) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        places.total = row.int4(place_total);
        if (question.without == row.uuid(place_id))
            places.counts_one = true;
        else if (!hold_of(row).is_over(now) && (question.with_overbooked || !row.boolean(place_overbooked)))
            places.taken.push_back({row.time(place_start), row.time(place_end)});
    }
}

using Ranges = std::map<Uuid, std::vector<TimeRange>>;

Ranges read_claims(const Schema &schema, Question &question, std::span<const Uuid> people, const TimeRange &range,
                   const std::optional<Uuid> &without_booking, Reading reading) {
    const pg::Rows rows = question.ask(
        schema, reading, {pg::uuid_array(people), pg::timestamptz(range.from), pg::timestamptz(range.until)});
    Ranges claims;
    if (rows.empty()) return claims;
    const pg::Rows over = find_over.ask(schema, reading, {pg::timestamptz(pg::clock_time())});
    std::set<Uuid> ignored;
    for (std::size_t i = 0; i < over.size(); ++i) ignored.insert(over[i].uuid(0));
    if (without_booking) ignored.insert(*without_booking);
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (!ignored.contains(rows[i].uuid(1))) claims[rows[i].uuid(0)].push_back(range_of(rows[i], 2, 3));
    return claims;
}

Ranges read_time_off(const Schema &schema, std::span<const Uuid> people, const TimeRange &range) {
    Ranges off;
    if (!was_ever_used(schema, "staff_time_off")) return off;
    const pg::Rows rows =
        find_time_off.run(schema, {pg::uuid_array(people), pg::timestamptz(range.from), pg::timestamptz(range.until)});
    for (std::size_t i = 0; i < rows.size(); ++i) off[rows[i].uuid(0)].push_back(range_of(rows[i], 1, 2));
    return off;
}

/// Those at the location, with what their assignment says.
std::vector<slots::Staff> read_assigned(const Schema &schema, const StaffQuestion &question) {
    std::vector<slots::Staff> staff;
    const pg::Rows rows = find_staff.run(schema, {pg::uuid(question.location.id), pg::uuid_or_null(question.only)});
    const std::string scope = to_string(question.location.id);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        slots::Staff each;
        each.id = row.uuid(0);
        each.is_assigned = row.boolean(3) && kit::has_role(each.id, row.text(1), scope);
        if (!each.is_assigned && !question.only) continue;
        const auto calendar = staff_calendar(schema, question.location.id, each.id, row.uuid(2), Reading::plain);
        if (calendar)
            each.at_work = hours::merge(hours::open_periods(*calendar, question.zone, question.range, pg::poll));
        staff.push_back(std::move(each));
    }
    if (question.only && staff.empty()) { // somebody who has nothing to do with the location
        slots::Staff stranger;
        stranger.id = *question.only;
        stranger.is_assigned = false;
        stranger.at_work.emplace();
        staff.push_back(std::move(stranger));
    }
    return staff;
}
} // namespace

Places read_places(const Schema &schema, const PlacesQuestion &question, Reading reading) {
    const auto params = {pg::uuid(question.location), pg::timestamptz(question.range.from),
                         pg::timestamptz(question.range.until)};
    const Instant now = pg::clock_time();
    Places places;
    add_places(places, find_bookings.ask(schema, reading, params), question, now);
    if (was_ever_used(schema, "appointments"))
        add_places(places, find_appointments.ask(schema, reading, params), question, now);
    return places;
}

std::vector<slots::Staff> read_staff(const Schema &schema, const StaffQuestion &question, Reading claims) {
    std::vector<slots::Staff> staff = read_assigned(schema, question);
    std::vector<Uuid> ids;
    ids.reserve(staff.size());
    for (const slots::Staff &each : staff) ids.push_back(each.id);
    std::map<Uuid, std::vector<Uuid>> skills;
    if (was_ever_used(schema, "staff_skills")) {
        const pg::Rows rows = find_all_skills.run(schema, {pg::uuid_array(ids)});
        for (std::size_t i = 0; i < rows.size(); ++i) skills[rows[i].uuid(0)].push_back(rows[i].uuid(1));
    }
    Ranges busy = read_claims(schema, find_staff_claims, ids, question.range, std::nullopt, claims);
    Ranges off = read_time_off(schema, ids, question.range);
    for (slots::Staff &each : staff) {
        each.skills = std::move(skills[each.id]);
        each.away = hours::merge(std::move(off[each.id]));
        each.claims = std::move(busy[each.id]);
        each.busy = hours::merge(each.claims);
    }
    return staff;
}

std::vector<TimeRange> read_busy(const Schema &schema, const char *kind, const Uuid &person, const TimeRange &range,
                                 const std::optional<Uuid> &without_booking, Reading reading) {
    Question &question = std::strcmp(kind, "staff") == 0 ? find_staff_claims : find_customer_claims;
    return hours::merge(
        std::move(read_claims(schema, question, {&person, 1}, range, without_booking, reading)[person]));
}

int count_of_day(const Schema &schema, const DayQuestion &question, Reading reading) {
    const pg::Rows rows =
        find_day.ask(schema, reading,
                     {pg::uuid(question.customer), pg::uuid(question.service), pg::uuid(question.location),
                      pg::timestamptz(question.day.from), pg::timestamptz(question.day.until)});
    const Instant now = pg::clock_time();
    int count = 0;
    for (std::size_t i = 0; i < rows.size(); ++i)
        count += question.without != rows[i].uuid(2) && !hold_of(rows[i]).is_over(now);
    return count;
}

std::vector<Uuid> read_skills(const Schema &schema, const Uuid &staff) {
    std::vector<Uuid> skills;
    if (!was_ever_used(schema, "staff_skills")) return skills;
    const pg::Rows rows = find_skills.run(schema, {pg::uuid(staff)});
    for (std::size_t i = 0; i < rows.size(); ++i) skills.push_back(rows[i].uuid(0));
    return skills;
}

} // namespace usher::booking

/// _free_places(location_id uuid, start_at timestamptz, end_at timestamptz, with_overbooked boolean)
USHER_FUNCTION(usher_booking_free_places) {
    using namespace usher;
    using namespace usher::booking;
    const pg::Args args(fcinfo);
    const TimeRange range{args.time(1), args.time(2)};
    const Schema schema(fcinfo);
    const std::optional<Location> location = find_location(schema, args.uuid(0), Reading::plain);
    if (!location) return pg::null_result(fcinfo);
    const Places places = read_places(
        schema, {.location = location->id, .range = range, .without = {}, .with_overbooked = args.boolean(3)},
        Reading::plain);
    return Int32GetDatum(slots::free_places(location->places, slots::Occupancy(places.taken), range));
}
