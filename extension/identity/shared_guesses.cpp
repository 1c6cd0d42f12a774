#include "identity/shared_guesses.hpp"
#include "identity/guess_slots.hpp"
#include "identity/guesses.hpp"
#include "operations/worker.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"

namespace usher::identity::shared_guesses {

namespace {
constexpr long capacity = 16384; // accounts with a guess at this moment, or with rolled back failures

struct Key {
    std::uint32_t database;
    std::array<std::uint8_t, 16> subject;
};

struct Entry {
    Key key;
    std::int32_t evaluating;  // between enter() and leave() or fail()
    std::int32_t open;        // failures of transactions that have not ended
    std::int32_t rolled_back; // failures that no table shows
    Instant last_failure;
};

pg::SharedMap<Key, Entry> map{"usher guesses", capacity};

Key key_of(const Uuid &subject) { return {MyDatabaseId, subject.bytes}; }
Uuid subject_of(const Key &key) { return Uuid{key.subject}; }

template <class Map> void drop_if_idle(Map &locked, const Entry &entry) {
    if (entry.evaluating == 0 && entry.open == 0 && entry.rolled_back == 0) locked.remove(entry.key);
}

// --- failures of open transactions ----------------------------------------------------------------------------------

struct Pending {
    Key key;
    std::int32_t count;
};

void settle(const Pending &pending, bool committed) noexcept {
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(pending.key);
        if (entry == nullptr) return;
        entry->open -= pending.count;
        if (!committed) entry->rolled_back += pending.count;
        drop_if_idle(locked, *entry);
    });
}

constinit pg::OnEnd<Pending, settle> pending_failures;

/// Failures of this transaction: its own statements see them in the table.
std::int32_t own_failures(const Key &key) {
    std::int32_t count = 0;
    pending_failures.for_each([&](const Pending &pending) {
        if (pending.key.database == key.database && pending.key.subject == key.subject) count += pending.count;
    });
    return count;
}

// --- a backend that is terminated while it evaluates runs no destructor
// ------------------------------------------------

constinit bool evaluating_now = false;
constinit Key evaluated{};

void leave_at_exit(int, Datum) {
    if (evaluating_now) leave(subject_of(evaluated));
}

void watch_exit() {
    static constinit bool watched = false;
    if (watched) return;
    pg::call([] { before_shmem_exit(leave_at_exit, 0); });
    watched = true;
}

Unseen unseen_of(const Entry &entry, std::int32_t own) {
    return {entry.evaluating, std::max(entry.open - own, 0) + entry.rolled_back, entry.last_failure};
}

// --- writing down what was rolled back
// ----------------------------------------------------------------------------------

void flush() {
    constexpr std::size_t batch_size = 64;
    struct Due {
        Key key;
        std::int32_t count;
        Instant last_failure;
    };
    std::vector<Due> batch;
    batch.reserve(batch_size);
    map.locked([&](auto &locked) {
        locked.for_each([&](Entry &entry) {
            if (entry.key.database == MyDatabaseId && entry.rolled_back > 0) {
                batch.push_back({entry.key, entry.rolled_back, entry.last_failure}); // reserved: cannot throw
                entry.open += entry.rolled_back;
                entry.rolled_back = 0;
            }
            return batch.size() < batch_size;
        });
    });
    for (const Due &due : batch) pending_failures.add({due.key, due.count});
    for (const Due &due : batch) count_failures(subject_of(due.key), due.count, due.last_failure);
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly(flush), true);
} // namespace

bool enter(const Uuid &subject, Unseen &others) {
    if (!pg::is_preloaded()) return false;
    watch_exit();
    const Key key = key_of(subject);
    const std::int32_t own = own_failures(key);
    const bool entered = map.locked([&](auto &locked) {
        Entry *const entry = locked.find_or_add(key);
        if (entry == nullptr) return false;
        others = unseen_of(*entry, own);
        ++entry->evaluating;
        return true;
    });
    if (entered) {
        evaluated = key;
        evaluating_now = true;
    }
    return entered;
}

void leave(const Uuid &subject) noexcept {
    evaluating_now = false;
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(key_of(subject));
        if (entry == nullptr) return;
        --entry->evaluating;
        drop_if_idle(locked, *entry);
    });
}

void fail(const Uuid &subject) {
    const Key key = key_of(subject);
    const Instant now = pg::clock_time();
    pending_failures.add({key, 1}); // before it counts: this may fail
    evaluating_now = false;
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(key);
        if (entry == nullptr) return;
        --entry->evaluating;
        ++entry->open;
        entry->last_failure = now;
    });
}

void count(const Uuid &subject) {
    Unseen others;
    if (enter(subject, others)) fail(subject);
}

Unseen look(const Uuid &subject) {
    if (!pg::is_preloaded()) return {};
    const Key key = key_of(subject);
    const std::int32_t own = own_failures(key);
    return map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        return entry == nullptr ? Unseen{} : unseen_of(*entry, own);
    });
}

void forget(const Uuid &subject) {
    if (!pg::is_preloaded()) return;
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(key_of(subject));
        if (entry == nullptr) return;
        entry->rolled_back = 0;
        drop_if_idle(locked, *entry);
    });
}

LockoutState with_unseen(LockoutState state, const Unseen &unseen, const LockoutRules &rules) {
    if (unseen.failures == 0) return state;
    state.failures += unseen.failures;
    state.last_failure = std::max(state.last_failure, unseen.last_failure);
    const Instant until = unseen.last_failure + lock_seconds(state.failures, rules) * 1000000;
    if (lock_seconds(state.failures, rules) > 0) state.locked_until = std::max(state.locked_until, until);
    if (rules.reset_required_at > 0 && state.failures >= rules.reset_required_at) state.reset_required = true;
    return state;
}

} // namespace usher::identity::shared_guesses
