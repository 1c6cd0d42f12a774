#include "usher_booking/claims/claims.hpp"
#include "common/json_object.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/slots/facts.hpp"
#include <tuple>

namespace usher::booking {

namespace {
// Nearly every booking touches three: its location, its staff member and its customer on one day.
constinit Statement touch_three_guards{R"(
    INSERT INTO @.resource_guards AS g (kind, id, day)
    VALUES ('location', $1, $4), ('staff', $2, $4), ('customer', $3, $4)
    ON CONFLICT (kind, id, day) DO UPDATE SET touched = g.touched + 1)"};
constinit Statement touch_guards{R"(
    INSERT INTO @.resource_guards AS g (kind, id, day)
    SELECT n.kind, n.id, n.day
    FROM ROWS
    FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) AS n (kind, id, day)
    ON CONFLICT (kind, id, day) DO UPDATE SET touched = g.touched + 1)"};

#define WANTED_CLAIMS                                                                                                  \
    "ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),"           \
    " pg_catalog.unnest($5), pg_catalog.unnest($6)) AS n (booking_id, holder_id, kind, id, from_at, until_at)"
constinit Statement insert_claims{
    "INSERT INTO @.booking_claims (booking_id, holder_id, resource_kind, resource_id, during)"
    " SELECT n.booking_id, n.holder_id, n.kind, n.id, pg_catalog.tstzrange(n.from_at, n.until_at) FROM " WANTED_CLAIMS
    " ON CONFLICT DO NOTHING"};
constinit Statement find_bookings{"SELECT FROM @.bookings AS b WHERE b.id = ANY ($1)"};
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
    " AND " USHER_HOLD_IS_OVER("old", "$7") " FOR UPDATE SKIP LOCKED)"};
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

/// Adds the guards of the days of a range. What takes more days than anybody books is refused before it takes all
/// memory.
void need(std::vector<Guard> &guards, int rank, const char *kind, const Uuid &id, const TimeRange &range) {
    constexpr std::int64_t longest = 1200 * day_us;
    constexpr std::size_t most = 100'000;
    if (range.until - range.from > longest || guards.size() > most)
        throw Error(errc::invalid_argument, "the bookings take too many days", R"({"argument":"start_at"})");
    pg::poll();
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

/// Competing writers of a location's day wait here, first come, first served. A row lock is no queue: whenever one
/// writer is done, all others wake up to look for the newest version of the guard, and who is last there waits again.
/// What makes the count right is the guard alone. Taken before any guard, in the order of the keys; with the row lock
/// it goes when the (sub)transaction ends.
void queue_up(const Schema &schema, std::span<const Guard> guards) {
    std::vector<std::uint64_t> keys;
    for (const Guard &each : guards) {
        if (each.rank != 1) continue;
        std::array<char, sizeof(each.id.bytes) + sizeof(each.day) + sizeof(Oid)> name;
        const Oid oid = schema.oid();
        std::memcpy(name.data(), each.id.bytes.data(), sizeof(each.id.bytes));
        std::memcpy(name.data() + sizeof(each.id.bytes), &each.day, sizeof(each.day));
        std::memcpy(name.data() + sizeof(each.id.bytes) + sizeof(each.day), &oid, sizeof(oid));
        keys.push_back(std::hash<std::string_view>{}({name.data(), name.size()}));
    }
    // Upkeep that touches a crowd of them goes without, to the end of its transaction: the lock table is small, and
    // nobody may wait here with guards in hand.
    constexpr std::size_t crowd = 256;
    static constinit TimestampTz without_queue = 0; // when that transaction began
    const TimestampTz transaction = GetCurrentTransactionStartTimestamp();
    if (keys.size() > crowd) without_queue = transaction;
    if (without_queue == transaction) return;
    std::sort(keys.begin(), keys.end());
    constexpr int our_kind = 3; // pg_advisory_lock() has 1 and 2
    for (const std::uint64_t key : keys)
        pg::call([&] {
            LOCKTAG tag;
            SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(key >> 32), static_cast<uint32>(key), our_kind);
            LockAcquire(&tag, ExclusiveLock, false, false);
        });
}

/// Updates these guard rows, in their order.
void touch(const Schema &schema, std::vector<Guard> guards) {
    std::sort(guards.begin(), guards.end());
    guards.erase(std::unique(guards.begin(), guards.end()), guards.end());
    if (guards.empty()) return;
    queue_up(schema, guards);
    if (guards.size() == 3 && guards[0].rank == 1 && guards[1].rank == 2 && guards[2].rank == 3 &&
        guards[0].day == guards[1].day && guards[0].day == guards[2].day) {
        touch_three_guards.run(
            schema, {pg::uuid(guards[0].id), pg::uuid(guards[1].id), pg::uuid(guards[2].id), date(guards[0].day)});
        return;
    }
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

/// What the foreign key of claims asks, for those that are written past the executor.
void require_bookings(const Schema &schema, std::vector<Uuid> bookings) {
    std::sort(bookings.begin(), bookings.end());
    bookings.erase(std::unique(bookings.begin(), bookings.end()), bookings.end());
    if (find_bookings.run(schema, {pg::uuid_array(bookings)}).processed() == bookings.size()) return;
    throw Error("23503", "booking was deleted while it was written");
}

/// Places those claims that nothing stands in the way of, past the executor: nothing when that cannot be.
std::optional<std::size_t> place_directly(const Schema &schema, const Claims &claims) {
    static constexpr std::array columns{
        pg::ColumnForm{"booking_id", UUIDOID, true},  pg::ColumnForm{"resource_kind", TEXTOID, true},
        pg::ColumnForm{"holder_id", UUIDOID, true},   pg::ColumnForm{"resource_id", UUIDOID, true},
        pg::ColumnForm{"during", TSTZRANGEOID, true}, pg::ColumnForm{"live", BOOLOID, true}};
    static constexpr std::array checks{"resource_kind IN ('staff', 'customer')",
                                       "NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)"
                                       " AND isfinite(lower(during)) AND isfinite(upper(during))"};
    static constexpr pg::TableForm form{.columns = columns, .checks = checks, .refers_to = "bookings"};
    constexpr std::size_t batch = 1000; // a restore writes them all at once
    const Oid table = pg::call([&] { return get_relname_relid("booking_claims", schema.oid()); });
    std::vector<pg::Param> rows;
    std::size_t placed = 0;
    for (std::size_t i = 0; i < claims.kinds.size(); ++i) {
        if (claims.from[i] >= claims.until[i]) return std::nullopt; // for the constraint to say
        rows.insert(rows.end(),
                    {pg::uuid(claims.bookings[i]), pg::text(claims.kinds[i]), pg::uuid(claims.holders[i]),
                     pg::uuid(claims.resources[i]), time_range({claims.from[i], claims.until[i]}), pg::boolean(true)});
        if (rows.size() < batch * columns.size() && i + 1 < claims.kinds.size()) continue;
        const std::optional<std::size_t> some = pg::insert_directly(table, form, rows, pg::Conflicts::skip);
        if (!some) return std::nullopt;
        placed += *some;
        rows.clear();
    }
    return placed;
}

void check_daily_limit(const Schema &schema, const Holder &holder) {
    if (!holder.daily_limit) return;
    const TimeRange day = local_day(schema, holder).second;
    const int others =
        count_of_day(schema, {holder.customer, holder.service, holder.location, day, holder.id}, Reading::locked);
    if (slots::is_within_limit(holder.daily_limit, others)) return;
    throw Error(errc::daily_limit, "customer has no further booking of this service on this day",
                json::Object()
                    .add("rule", "daily_limit")
                    .add("customer_id", holder.customer)
                    .add("limit", std::int64_t{*holder.daily_limit})
                    .text());
}

/// `resource`: nothing when whoever stood in the way has gone meanwhile; the caller may try again.
[[noreturn]] void refuse_taken(std::string_view kind, const std::optional<Uuid> &resource) {
    const bool is_customer = kind == "customer";
    json::Object detail;
    detail.add("rule", is_customer ? "customer_double_booked" : "staff_double_booked");
    if (resource) detail.add("resource_id", *resource);
    throw Error(errc::slot_taken,
                is_customer ? "customer has another booking at this time"
                            : "staff member has another booking at this time",
                detail.text());
}

[[noreturn]] void refuse_rivals(const Schema &schema, std::initializer_list<pg::Param> claims) {
    const pg::Rows rows = find_rival.run(schema, claims);
    if (rows.empty()) refuse_taken("staff", std::nullopt);
    refuse_taken(rows.front().text(0), rows.front().uuid(1));
}

/// Throws UB001 when somebody else has the person's time.
void check_person(const Schema &schema, const Holder &holder, const char *kind, const Uuid &person,
                  const TimeRange &range) {
    if (!slots::is_free(read_busy(schema, kind, person, range, holder.booking, Reading::locked), range))
        refuse_taken(kind, person);
}
} // namespace

void take_guards(const Schema &schema, const std::vector<Holder> &holders, const std::vector<Holder> &before) {
    std::vector<Guard> guards;
    const auto need_people = [&guards](const Holder &each) {
        if (each.staff) need(guards, 2, "staff", *each.staff, each.claimed());
        need(guards, 3, "customer", each.customer, each.visible);
    };
    for (const Holder &each : before) need_people(each);
    for (const Holder &each : holders) {
        need(guards, 1, "location", each.location, each.visible);
        need_people(each);
        if (each.daily_limit) guards.push_back({4, "customer_day", each.customer, local_day(schema, each).first});
    }
    touch(schema, std::move(guards));
}

void take_location_guards(const Schema &schema, const Uuid &location, const std::vector<TimeRange> &ranges) {
    std::vector<Guard> guards;
    for (const TimeRange &each : ranges) need(guards, 1, "location", location, each);
    touch(schema, std::move(guards));
}

void check_capacity(const Schema &schema, const Holder &holder) {
    const Places others = read_places(
        schema, {.location = holder.location, .range = holder.visible, .without = holder.id}, Reading::locked);
    // Its claims are there: so must it be. Handlers of its event have run already, and may do anything.
    if (holder.occupies && !others.counts_one) require_bookings(schema, {holder.booking});
    if (others.taken.empty() || slots::free_places(others.total, slots::Occupancy(others.taken), holder.visible) > 0)
        return;
    throw Error(errc::capacity_full, "location has no place left at this time",
                json::Object()
                    .add("rule", "capacity")
                    .add("location_id", holder.location)
                    .add("places", std::int64_t{others.total})
                    .text());
}

void check_waiting(const Schema &schema, const Holder &holder) {
    if (!holder.by_appointment) {
        if (holder.customer_exclusive) check_person(schema, holder, "customer", holder.customer, holder.visible);
        if (holder.staff) check_person(schema, holder, "staff", *holder.staff, holder.claimed());
        if (!holder.overbooked) check_capacity(schema, holder);
    }
    check_daily_limit(schema, holder);
}

void place_claims(const Schema &schema, const std::vector<Holder> &holders, bool check_limits) {
    const Claims claims = wanted_claims(holders);
    if (!claims.kinds.empty()) {
        const auto params = {pg::uuid_array(claims.bookings), pg::uuid_array(claims.holders),
                             pg::text_array(claims.kinds),    pg::uuid_array(claims.resources),
                             time_array(claims.from),         time_array(claims.until)};
        std::uint64_t placed = place_directly(schema, claims).value_or(0);
        // What stands in the way may be gone when its transaction ends: this waits for it.
        if (placed < claims.kinds.size()) placed += insert_claims.run(schema, params).processed();
        if (placed < claims.kinds.size()) {
            const pg::Param *const p = params.begin();
            expire_rivals.run(schema, {p[0], p[1], p[2], p[3], p[4], p[5], pg::timestamptz(pg::clock_time())});
            placed += insert_claims.run(schema, params).processed();
        }
        if (placed < claims.kinds.size()) refuse_rivals(schema, params);
    }
    std::vector<Uuid> unchecked;
    for (const Holder &each : holders) {
        if (!each.occupies) continue;
        const bool counts = check_limits && !each.overbooked && !each.by_appointment;
        if (counts)
            check_capacity(schema, each);
        else
            unchecked.push_back(each.booking);
        if (check_limits) check_daily_limit(schema, each);
    }
    // pg_restore --jobs may load appointments before their bookings
    if (check_limits && !unchecked.empty()) require_bookings(schema, std::move(unchecked));
}

} // namespace usher::booking
