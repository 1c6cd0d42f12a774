#include "usher/identity/shared_guesses.hpp"
#include "pg/spi.hpp"
#include "usher/identity/guess_permits.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/unsettled_failures.hpp"
#include "usher/operations/worker.hpp"

namespace usher::identity::shared_guesses {

namespace {
constexpr long capacity = 16384; // accounts with a guess at this moment, or with rolled back failures

struct Key {
    std::uint32_t database;
    std::array<std::uint8_t, 16> subject;
    bool operator==(const Key &) const = default;
};

struct Entry {
    Key key;
    std::int32_t evaluating;  // between enter() and leave() or fail()
    std::int32_t open;        // failures of transactions that have not ended
    std::int32_t rolled_back; // failures that no table shows
    Instant last_failure;
    Instant postponed_until; // the table was locked

    [[nodiscard]] bool is_idle() const { return evaluating == 0 && open == 0 && rolled_back == 0; }
};

pg::SharedMap<Key, Entry> map{"usher guesses", capacity};
pg::SharedMap<PreparedKey<Key>, PreparedFailures<Key>> prepared{"usher prepared guesses", prepared_capacity};
using Failures = UnsettledFailures<Key, Entry, map, prepared>;

Key key_of(const Uuid &subject) { return {MyDatabaseId, subject.bytes}; }
Uuid subject_of(const Key &key) { return Uuid{key.subject}; }

Unseen unseen_of(const Entry &entry, std::int32_t own) {
    return {entry.evaluating, Failures::of_others(entry, own), entry.last_failure};
}

// A backend that is terminated while it evaluates runs no destructor.
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

void flush() {
    Failures::flush(
        [](const Entry &entry) { count_failures(subject_of(entry.key), entry.rolled_back, entry.last_failure); });
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly("flushing failed logins", flush), true);
} // namespace

bool enter(const Uuid &subject, Unseen &others) {
    if (!pg::is_preloaded()) return false;
    watch_exit();
    Failures::settle_prepared();
    const Key key = key_of(subject);
    const std::int32_t own = Failures::own(key);
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
        if (entry->is_idle()) locked.remove(entry->key);
    });
}

void fail(const Uuid &subject) {
    const Key key = key_of(subject);
    const Instant now = pg::clock_time();
    Failures::add(key, 1);
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
    Failures::settle_prepared();
    const Key key = key_of(subject);
    const std::int32_t own = Failures::own(key);
    return map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        return entry == nullptr ? Unseen{} : unseen_of(*entry, own);
    });
}

void forget(const Uuid &subject) {
    if (!pg::is_preloaded()) return;
    Failures::settle_prepared();
    Failures::forget_rolled_back(key_of(subject));
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
