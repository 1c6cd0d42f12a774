#include "booking/claims.hpp"
#include "booking/calendar.hpp"
#include "booking/zones.hpp"
#include "core/json_object.hpp"
#include "core/slots.hpp"
#include <tuple>

namespace usher::booking {

namespace {
constinit Statement touch_guards{"INSERT INTO @.resource_guards AS g (kind, id, day)"
                                 " SELECT n.kind, n.id, n.day FROM ROWS FROM (pg_catalog.unnest($1), "
                                 "pg_catalog.unnest($2), pg_catalog.unnest($3)) AS n (kind, id, day)"
                                 " ON CONFLICT (kind, id, day) DO UPDATE SET touched = g.touched + 1"};

// Holds that ran out do not count: nobody may have swept them away yet.
constinit Statement find_occupied{
    "SELECT b.start_at, b.end_at, (SELECT l.max_concurrent_bookings FROM @.locations AS l WHERE l.id = $1)"
    " FROM @.bookings AS b WHERE b.location_id = $1 AND b.occupies AND NOT b.by_appointment"
    " AND b.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3)"
    " AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > $4)"
    " UNION ALL SELECT a.start_at, a.end_at, (SELECT l.max_concurrent_bookings FROM @.locations AS l WHERE l.id = $1)"
    " FROM @.appointments AS a JOIN @.bookings AS b ON b.id = a.booking_id WHERE a.location_id = $1 AND a.occupies"
    " AND a.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3)"
    " AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > $4)"};

constinit Statement count_of_day{
    "SELECT pg_catalog.count(*)::pg_catalog.int4 FROM @.bookings AS b WHERE b.customer_id = $1 AND b.service_id = $2"
    " AND b.location_id = $3 AND b.start_at >= $4 AND b.start_at < $5 AND b.status <> 'cancelled'"
    " AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > $6)"};

#define WANTED_CLAIMS                                                                                                  \
    "ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),"           \
    " pg_catalog.unnest($5), pg_catalog.unnest($6)) AS n (booking_id, holder_id, kind, id, from_at, until_at)"
constinit Statement insert_claims{
    "INSERT INTO @.booking_claims (booking_id, holder_id, resource_kind, resource_id, during)"
    " SELECT n.booking_id, n.holder_id, n.kind, n.id, pg_catalog.tstzrange(n.from_at, n.until_at) FROM " WANTED_CLAIMS
    " ON CONFLICT DO NOTHING"};
// Kind by kind: each has an index of its own.
#define RIVALS_OF(kind)                                                                                                \
    "SELECT c.booking_id, c.resource_kind, c.resource_id FROM " WANTED_CLAIMS " JOIN @.booking_claims AS c"            \
    " ON n.kind = '" kind "' AND c.resource_kind = '" kind "' AND c.live AND c.resource_id = n.id"                     \
    " AND c.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange(n.from_at, n.until_at) AND c.holder_id <> n.holder_id"
#define RIVAL_CLAIMS "(" RIVALS_OF("staff") " UNION ALL " RIVALS_OF("customer") ") AS c"
// A constraint cannot look at the clock, so holds that ran out and stand in the way are cancelled here, under the
// guard. SKIP LOCKED: whoever is working on one of them decides; waiting for them while holding guards could deadlock.
constinit Statement expire_rivals{
    "UPDATE @.bookings AS b SET status = 'cancelled', cancellation_reason = 'hold_expired' WHERE b.id IN ("
    "SELECT old.id FROM @.bookings AS old WHERE old.id IN (SELECT c.booking_id FROM " RIVAL_CLAIMS ")"
    " AND old.status = 'pending' AND old.hold_expires_at <= $7 FOR UPDATE SKIP LOCKED)"};
constinit Statement find_rival{"SELECT c.resource_kind, c.resource_id FROM " RIVAL_CLAIMS
                               " ORDER BY c.resource_kind DESC LIMIT 1"};

struct Guard {
    int rank;
    const char *kind;
    Uuid id;
    LocalDate day;
    auto key() const { return std::tie(rank, id, day); }
    bool operator<(const Guard &other) const { return key() < other.key(); }
    bool operator==(const Guard &other) const { return key() == other.key(); }
};

void need(std::vector<Guard> &guards, int rank, const char *kind, const Uuid &id, const TimeRange &range) {
    for (LocalDate day = date_of(range.from); day <= date_of(range.until - 1); ++day)
        guards.push_back({rank, kind, id, day});
}

/// The local day of a start, for the limit per day: whatever the session's time zone.
std::pair<LocalDate, TimeRange> local_day(const Schema &schema, const Holder &holder) {
    const std::optional<Location> location = find_location(schema, holder.location, Reading::locked);
    if (!location) throw Error(errc::unknown_reference, "location does not exist");
    const std::shared_ptr<const Zone> zone = zone_named(location->zone, holder.visible);
    const LocalDate day = zone->date_of(holder.visible.from);
    return {day, zone->day(day)};
}

struct Claims { // in the order in which they are written: customers before staff, like nobody else's claims
    std::vector<Uuid> bookings, holders, resources;
    std::vector<std::string> kinds;
    std::vector<Instant> from, until;
};

Claims wanted_claims(const std::vector<Holder> &holders) {
    struct Claim {
        std::string kind;
        Uuid resource;
        TimeRange range;
        const Holder *holder;
    };
    std::vector<Claim> claims;
    for (const Holder &each : holders) {
        if (!each.occupies || each.by_appointment) continue;
        if (each.customer_exclusive) claims.push_back({"customer", each.customer, each.visible, &each});
        if (each.staff) claims.push_back({"staff", *each.staff, each.claimed(), &each});
    }
    std::sort(claims.begin(), claims.end(), [](const Claim &a, const Claim &b) {
        return std::tie(a.kind, a.resource, a.range.from) < std::tie(b.kind, b.resource, b.range.from);
    });
    Claims sorted;
    for (const Claim &each : claims) {
        sorted.bookings.push_back(each.holder->booking);
        sorted.holders.push_back(each.holder->id);
        sorted.kinds.push_back(each.kind);
        sorted.resources.push_back(each.resource);
        sorted.from.push_back(each.range.from);
        sorted.until.push_back(each.range.until);
    }
    return sorted;
}

void check_daily_limit(const Schema &schema, const Holder &holder) {
    const TimeRange day = local_day(schema, holder).second;
    const int count =
        count_of_day
            .run(schema, {pg::uuid(holder.customer), pg::uuid(holder.service), pg::uuid(holder.location),
                          pg::timestamptz(day.from), pg::timestamptz(day.until), pg::timestamptz(pg::clock_time())})
            .front()
            .int4(0);
    if (count <= *holder.daily_limit) return;
    throw Error(errc::daily_limit, "customer has no further booking of this service on this day",
                json::Object()
                    .add("rule", "daily_limit")
                    .add("customer_id", holder.customer)
                    .add("limit", std::int64_t{*holder.daily_limit})
                    .text());
}

[[noreturn]] void refuse_taken(const Schema &schema, std::initializer_list<pg::Param> claims) {
    const pg::Rows rows = find_rival.run(schema, claims);
    // None: it has gone again meanwhile. The caller may try again.
    const bool is_customer = !rows.empty() && rows.front().text(0) == "customer";
    json::Object detail;
    detail.add("rule", is_customer ? "customer_double_booked" : "staff_double_booked");
    if (!rows.empty()) detail.add("resource_id", rows.front().uuid(1));
    throw Error(errc::slot_taken,
                is_customer ? "customer has another booking at this time"
                            : "staff member has another booking at this time",
                detail.text());
}
} // namespace

void take_guards(const Schema &schema, const std::vector<Holder> &holders) {
    std::vector<Guard> guards;
    for (const Holder &each : holders) {
        need(guards, 1, "location", each.location, each.visible);
        if (each.staff) need(guards, 2, "staff", *each.staff, each.claimed());
        need(guards, 3, "customer", each.customer, each.visible);
        if (each.daily_limit) guards.push_back({4, "customer_day", each.customer, local_day(schema, each).first});
    }
    std::sort(guards.begin(), guards.end());
    guards.erase(std::unique(guards.begin(), guards.end()), guards.end());
    if (guards.empty()) return;
    std::vector<std::string> kinds;
    std::vector<Uuid> ids;
    std::vector<std::int32_t> days;
    for (const Guard &each : guards) {
        kinds.emplace_back(each.kind);
        ids.push_back(each.id);
        days.push_back(each.day);
    }
    touch_guards.run(schema, {pg::text_array(kinds), pg::uuid_array(ids), date_array(days)});
}

void check_capacity(const Schema &schema, const Holder &holder) {
    const pg::Rows rows =
        find_occupied.run(schema, {pg::uuid(holder.location), pg::timestamptz(holder.visible.from),
                                   pg::timestamptz(holder.visible.until), pg::timestamptz(pg::clock_time())});
    std::vector<TimeRange> occupied;
    for (std::size_t i = 0; i < rows.size(); ++i) occupied.push_back({rows[i].time(0), rows[i].time(1)});
    if (occupied.empty()) return;
    const int places = rows.front().int4(2);
    if (slots::Occupancy(occupied).peak(holder.visible) <= places) return;
    throw Error(errc::capacity_full, "location has no place left at this time",
                json::Object()
                    .add("rule", "capacity")
                    .add("location_id", holder.location)
                    .add("places", std::int64_t{places})
                    .text());
}

void place_claims(const Schema &schema, const std::vector<Holder> &holders, bool check_limits) {
    const Claims claims = wanted_claims(holders);
    if (!claims.kinds.empty()) {
        const auto params = {pg::uuid_array(claims.bookings), pg::uuid_array(claims.holders),
                             pg::text_array(claims.kinds),    pg::uuid_array(claims.resources),
                             time_array(claims.from),         time_array(claims.until)};
        std::uint64_t placed = insert_claims.run(schema, params).processed();
        if (placed < claims.kinds.size()) {
            const pg::Param *const p = params.begin();
            expire_rivals.run(schema, {p[0], p[1], p[2], p[3], p[4], p[5], pg::timestamptz(pg::clock_time())});
            placed += insert_claims.run(schema, params).processed();
        }
        if (placed < claims.kinds.size()) refuse_taken(schema, params);
    }
    if (!check_limits) return;
    for (const Holder &each : holders) {
        if (!each.occupies) continue;
        if (!each.overbooked && !each.by_appointment) check_capacity(schema, each);
        if (each.daily_limit) check_daily_limit(schema, each);
    }
}

} // namespace usher::booking
