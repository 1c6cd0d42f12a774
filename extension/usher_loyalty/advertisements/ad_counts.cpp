// Views and clicks of advertisements. With the library preloaded they are counted in shared memory, and whoever counts
// one a minute after the last were written writes what has come together, so there is no hot row, and no two write the
// same counter at once. A view counts whatever becomes of the transaction; what a crash takes is a minute's.
#include "kit/shared_memory.hpp"
#include "usher_loyalty/loyalty_kit.hpp"

namespace usher::loyalty {

namespace {
constexpr long capacity = 16384; // an advertisement, a day and a kind each
constexpr Instant write_after = 60 * one_second;

struct Key {
    std::uint32_t database;
    std::int32_t day; // since 1970
    std::array<std::uint8_t, 16> ad;
    std::uint32_t is_click;
};
struct Entry {
    Key key;
    std::int64_t counted, written;
    Instant written_at;
    bool is_being_written;
};
pg::SharedMap<Key, Entry> map{"usher advertisement counts", capacity};

constinit Statement find_current{R"(
    SELECT FROM @.loyalty_ads AS a
    WHERE a.id = $1 AND a.status IN ('active', 'paused'))"};
constinit Statement add{R"(
    INSERT INTO @.loyalty_ad_counts AS c (ad_id, day, kind, count)
    VALUES ($1, date '1970-01-01' + $2, $3, $4)
    ON CONFLICT (ad_id, day, kind) DO UPDATE SET count = c.count + EXCLUDED.count)"};

/// What was written, until it is known that it stays.
struct Written {
    Key key;
    std::int64_t count;
};
// A prepared transaction is taken for committed: what it has written is written, unless it is rolled back.
void settle(const Written &written, pg::End end) noexcept {
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(written.key);
        if (entry == nullptr) return;
        entry->is_being_written = false;
        if (end != pg::End::rolled_back) entry->written += written.count;
    });
}
constinit pg::OnEnd<Written, settle> written_counts;

Key key_of(const Uuid &ad, bool is_click) {
    const Instant day = pg::clock_time() / (86400 * one_second);
    return {MyDatabaseId, static_cast<std::int32_t>(day), ad.bytes, is_click ? 1U : 0U};
}

void write(const Schema &schema, const Key &key, std::int64_t count) {
    Uuid ad;
    ad.bytes = key.ad;
    add.run(schema, {pg::uuid(ad), pg::int4(key.day), pg::text(key.is_click != 0 ? "click" : "view"), pg::int8(count)});
}

/// How much of the counter is this backend's to write now; it is noted, and settled at the end of the transaction.
std::int64_t claim(Entry &entry, Instant now, bool at_once) {
    const bool is_due = entry.written_at + write_after <= now || at_once;
    if (entry.is_being_written || !is_due || entry.counted == entry.written) return 0;
    entry.is_being_written = true;
    entry.written_at = now;
    return entry.counted - entry.written;
}

void write_claimed(const Schema &schema, const Written &claimed) {
    if (claimed.count == 0) return;
    written_counts.add(claimed);
    write(schema, claimed.key, claimed.count);
}
} // namespace

} // namespace usher::loyalty

/// record_advertisement_event(ad_id uuid, kind text)
USHER_FUNCTION(usher_loyalty_count_ad) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::string_view kind = args.text(1);
    if (kind != "view" && kind != "click")
        throw Error(errc::invalid_argument, "kind must be view or click", R"({"argument":"kind"})");
    const Uuid ad = args.uuid(0);
    if (find_current.run(schema, {pg::uuid(ad)}).empty()) return BoolGetDatum(false);
    const Key key = key_of(ad, kind == "click");
    bool is_counted = false;
    Written claimed{key, 0};
    if (pg::is_preloaded()) {
        const Instant now = pg::clock_time();
        map.locked([&](auto &locked) {
            Entry *const entry = locked.find_or_add(key);
            if (entry == nullptr) return;
            if (entry->counted == 0) entry->written_at = now;
            ++entry->counted;
            is_counted = true;
            claimed.count = claim(*entry, now, false);
        });
    }
    if (!is_counted)
        write(schema, key, 1);
    else
        write_claimed(schema, claimed);
    return BoolGetDatum(true);
}

/// _write_ad_counts(): all of this database, at once
USHER_FUNCTION(usher_loyalty_write_ad_counts) {
    using namespace usher;
    using namespace usher::loyalty;
    const Schema schema(fcinfo);
    if (!pg::is_preloaded()) return pg::result(pg::int8(0));
    std::vector<Written> batch;
    batch.reserve(capacity);
    const Key today = key_of({}, false);
    const Instant now = pg::clock_time();
    map.locked([&](auto &locked) {
        locked.for_each([&](Entry &entry) {
            if (entry.key.database != MyDatabaseId) return true;
            const bool is_over = entry.key.day < today.day && entry.counted == entry.written && !entry.is_being_written;
            if (is_over) {
                locked.remove(entry.key);
                return true;
            }
            if (const std::int64_t count = claim(entry, now, true); count > 0) batch.push_back({entry.key, count});
            return batch.size() < capacity; // reserved: cannot throw
        });
    });
    for (const Written &each : batch) written_counts.add(each);
    for (const Written &each : batch) write(schema, each.key, each.count);
    return pg::result(pg::int8(static_cast<std::int64_t>(batch.size())));
}
