#include "usher_booking/opening_hours/zones.hpp"
#include "common/json.hpp"
#include "usher_booking/booking_kit.hpp"
#include <map>
#include <memory>

namespace usher::booking {

namespace {
// What nearly every question is about; what lies outside is read when it is asked for.
constexpr TimeRange usual{946'684'800 * second_us, 4'102'444'800 * second_us}; // 2000 to 2100
constexpr std::size_t max_zones = 64;

struct Changes { // plain
    std::int32_t offset_s;
    ClockChange *changes; // palloc'd
    int count;
    bool is_known;
};

/// Plain frame.
Changes read_changes(const char *name, const TimeRange &range) {
    Changes found{0, nullptr, 0, false};
    pg_tz *const zone = pg_tzset(name);
    if (zone == nullptr || !pg_tz_acceptable(zone)) return found;
    found.is_known = true;
    pg_time_t at = range.from / second_us - (range.from % second_us < 0 ? 1 : 0);
    const pg_tm *const local = pg_localtime(&at, zone);
    if (local == nullptr)
        ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range"));
    found.offset_s = static_cast<std::int32_t>(local->tm_gmtoff);
    int capacity = 0;
    std::int32_t last = found.offset_s;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        long before, after;
        int before_dst, after_dst;
        pg_time_t boundary;
        if (pg_next_dst_boundary(&at, &before, &before_dst, &boundary, &after, &after_dst, zone) != 1) return found;
        if (boundary > range.until / second_us) return found;
        at = boundary;
        if (after == last) continue; // only the name of the time changes
        last = static_cast<std::int32_t>(after);
        if (found.count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            const std::size_t size = sizeof(ClockChange) * capacity;
            found.changes =
                static_cast<ClockChange *>(found.changes == nullptr ? palloc(size) : repalloc(found.changes, size));
        }
        found.changes[found.count++] = {boundary * second_us, last};
    }
}

std::shared_ptr<const Zone> read_zone(const std::string &name, const TimeRange &range) {
    const Changes changes = pg::call([&] { return read_changes(name.c_str(), range); });
    if (!changes.is_known)
        throw Error(errc::invalid_argument, "time zone " + json::quote(name) + " is not known",
                    R"({"argument":"time_zone"})");
    return std::make_shared<const Zone>(changes.offset_s,
                                        std::vector<ClockChange>(changes.changes, changes.changes + changes.count));
}

using Zones = std::map<std::string, std::shared_ptr<const Zone>, std::less<>>;
Zones *zones = nullptr; // never deleted: a backend ends without unwinding
} // namespace

std::shared_ptr<const Zone> zone_named(std::string_view name, const TimeRange &range) {
    const TimeRange around{range.from - 3 * day_us, range.until + 3 * day_us};
    if (around.from < usual.from || around.until > usual.until) return read_zone(std::string(name), around);
    if (zones == nullptr) zones = new Zones;
    if (const auto found = zones->find(name); found != zones->end()) return found->second;
    std::shared_ptr<const Zone> zone = read_zone(std::string(name), usual);
    if (zones->size() >= max_zones) zones->clear();
    zones->emplace(name, zone);
    return zone;
}

} // namespace usher::booking
