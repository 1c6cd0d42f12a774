#include "usher/limits/shared_counts.hpp"
#include "common/encoding.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "usher/operations/flush.hpp"

namespace usher::limits::shared_counts {

namespace {
constexpr long capacity = 65536; // keys, about 16 MB; one more is counted in the table
constexpr std::size_t max_policy = 100;

struct Key {
    std::uint32_t database;
    std::array<std::uint8_t, 32> digest;
};

struct Entry {
    Key key;
    Record record;
    Instant reset_at;
    Instant last_hit;
    std::int64_t max_hits;
    Instant postponed_until;        // the table was locked
    std::uint64_t changes, flushed; // counters: how often it changed, and what of that the table has
    ratelimit::Algorithm algorithm;
    char policy[max_policy + 1];

    [[nodiscard]] bool is_over(Instant now) const { return reset_at <= now && record.state.blocked_until <= now; }
};

pg::SharedMap<Key, Entry> map{"usher rate limits", capacity};

Key key_of(const Sha256 &digest) {
    Key key{MyDatabaseId, {}};
    std::copy_n(digest.begin(), key.digest.size(), key.digest.begin());
    return key;
}

/// When the map is full: keys that no longer count make room, flushed or not. Once a second at most: under an
/// attack with ever new keys each look would be in vain.
template <class Map> void make_room(Map &locked) {
    static constinit Instant next = 0;
    const Instant now = pg::clock_time();
    if (!locked.is_full() || now < next) return;
    next = now + 1'000'000;
    locked.for_each([&](Entry &entry) {
        if (entry.is_over(now)) locked.remove(entry.key);
        return true;
    });
}

ratelimit::Decision count(Entry &entry, const ratelimit::Policy &rule, std::int64_t cost) {
    if (entry.algorithm != rule.algorithm) { // the policy has changed, and its counts mean something else
        entry.record.state = {0, 0, 0, entry.record.state.blocked_until};
        entry.algorithm = rule.algorithm;
    }
    const Instant now = pg::clock_time();
    const ratelimit::Decision decision = ratelimit::hit(rule, entry.record.state, now, cost);
    if (!decision.allowed) ++entry.record.refused;
    if (entry.record.state.window_start == 0) entry.record.state.window_start = now; // blocked: nothing was counted
    entry.reset_at = decision.reset_at;
    entry.last_hit = now;
    entry.max_hits = rule.max_hits;
    ++entry.changes;
    return decision;
}

// --- writing to the table --------------------------------------------------------------------------------------------

struct Written {
    Key key;
    std::uint64_t changes;
};

// A prepared transaction has not committed yet: the counts are written again later, and are the same or newer.
void settle(const Written &written, pg::End end) noexcept {
    if (end != pg::End::committed) return;
    map.locked([&](auto &locked) {
        if (Entry *const entry = locked.find(written.key)) entry->flushed = std::max(entry->flushed, written.changes);
    });
}
constinit pg::OnEnd<Written, settle> written_keys;

// Of two that write at once the later might leave the older counts.
constinit pg::Statement try_lock{R"(
    SELECT pg_catalog.pg_try_advisory_xact_lock(
        'usher.rate_limit_records'::pg_catalog.regclass::pg_catalog.oid::integer, 1))"};

void write(const Entry &entry) {
    const std::string hash =
        hex_encode({reinterpret_cast<const char *>(entry.key.digest.data()), entry.key.digest.size()});
    if (entry.record.state.window_start == 0)
        records::remove(hash); // was reset
    else
        records::write(hash, entry.policy, ratelimit::name_of(entry.algorithm), entry.max_hits, entry.record,
                       std::max(entry.reset_at, entry.record.state.window_start), entry.last_hit);
    written_keys.add({entry.key, entry.changes});
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly("flushing rate limits", [] { flush(); }), true);
} // namespace

std::optional<ratelimit::Decision> hit(const Sha256 &digest, std::string_view hash, const NamedPolicy &policy,
                                       const ratelimit::Policy &rule, std::int64_t cost) {
    if (!pg::is_preloaded() || policy.name.size() > max_policy) return std::nullopt;
    const Key key = key_of(digest);
    std::optional<ratelimit::Decision> decision;
    map.locked([&](auto &locked) {
        if (Entry *const entry = locked.find(key)) decision = count(*entry, rule, cost);
    });
    if (decision) return decision;

    // The first hit since the start, or since the key was idle: the table may know it. Only idle keys leave the map, so
    // what is read here is not older than what somebody else may have in it by now.
    const Record known = records::find(hash, policy);
    map.locked([&](auto &locked) {
        make_room(locked);
        Entry *const entry = locked.find_or_add(key);
        if (entry == nullptr) return;
        if (entry->changes == 0) {
            entry->record = known;
            entry->algorithm = rule.algorithm;
            std::memcpy(entry->policy, policy.name.data(), policy.name.size()); // the rest is zero
        }
        decision = count(*entry, rule, cost);
    });
    return decision;
}

bool reset(const Sha256 &digest) {
    if (!pg::is_preloaded()) return false;
    return map.locked([&](auto &locked) {
        Entry *const entry = locked.find(key_of(digest));
        if (entry == nullptr || entry->record.state.window_start == 0) return false;
        entry->record = {}; // stays: a hit before our commit must not bring back what the table still shows
        entry->reset_at = 0;
        ++entry->changes;
        return true;
    });
}

void forget(std::string_view policy) {
    if (!pg::is_preloaded()) return;
    map.locked([&](auto &locked) {
        locked.for_each([&](Entry &entry) {
            if (entry.key.database == MyDatabaseId && policy == entry.policy) locked.remove(entry.key);
            return true;
        });
    });
}

std::int64_t flush() {
    if (!pg::is_preloaded() || RecoveryInProgress()) return 0;
    if (!try_lock.run().front().boolean(0)) {
        operations::tell_skipped();
        return 0;
    }
    constexpr std::size_t batch_size = 4096;
    std::vector<Entry> batch;
    batch.reserve(batch_size);
    const Instant now = pg::clock_time();
    std::size_t postponed = 0;
    map.locked([&](auto &locked) {
        locked.for_each([&](const Entry &entry) {
            if (entry.key.database != MyDatabaseId) return true;
            if (entry.changes != entry.flushed && entry.postponed_until > now)
                ++postponed;
            else if (entry.changes != entry.flushed)
                batch.push_back(entry); // reserved: cannot throw
            else if (entry.is_over(now))
                locked.remove(entry.key);
            return batch.size() < batch_size;
        });
    });
    operations::tell_postponed(postponed);
    std::int64_t failed = 0;
    operations::write_each<64>(std::span<const Entry>(batch), write, [&](const Entry &entry, Instant until) {
        ++failed;
        map.locked([&](auto &locked) {
            if (Entry *const counted = locked.find(entry.key)) counted->postponed_until = until;
        });
    });
    return static_cast<std::int64_t>(batch.size()) - failed;
}

} // namespace usher::limits::shared_counts
