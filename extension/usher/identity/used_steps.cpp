#include "usher/identity/used_steps.hpp"
#include "pg/shared.hpp"
#include "pg/value.hpp"

namespace usher::identity::used_steps {

namespace {
constexpr long capacity = 16384;                 // factors used within the last minutes
constexpr Instant kept_us = 15LL * 60 * 1000000; // longer than the widest window accepts a step (usher.totp_window)

struct Key {
    std::uint32_t database;
    std::array<std::uint8_t, 16> factor;
};

struct Entry {
    Key key;
    std::int64_t step;
    Instant taken_at;
};

pg::SharedMap<Key, Entry> map{"usher used totp steps", capacity};
} // namespace

bool take(const Uuid &factor_id, std::int64_t step) {
    if (!pg::is_preloaded()) return true;
    const Key key{MyDatabaseId, factor_id.bytes};
    const Instant now = pg::clock_time();
    return map.locked([&](auto &locked) {
        Entry *entry = locked.find_or_add(key);
        if (entry == nullptr) { // full: make room by what is too old to matter
            locked.for_each([&](const Entry &each) {
                if (now - each.taken_at > kept_us) locked.remove(each.key);
                return true;
            });
            entry = locked.find_or_add(key);
        }
        if (entry == nullptr) return true; // the row decides
        if (entry->taken_at != 0 && step <= entry->step) return false;
        entry->step = step;
        entry->taken_at = now;
        return true;
    });
}

} // namespace usher::identity::used_steps
