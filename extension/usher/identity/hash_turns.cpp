#include "usher/identity/hash_turns.hpp"
#include "pg/shared.hpp"
#include "usher/operations/settings.hpp"
#include <thread>

namespace usher::identity {

namespace {
struct Key {
    std::uint32_t only;
};
struct Gate {
    Key key;
    std::int32_t running;
    std::int32_t running_else; // of these for everything else
    std::int32_t waiting;      // for accounts
    bool initialised;
    ConditionVariable turn_free;
};
constexpr Key the_gate{0};
pg::SharedMap<Key, Gate> gates{"usher password hashes", 1};

constinit int held = 0; // 1 while this backend has a turn
constinit HashFor held_for{};
constinit bool waits = false; // this backend is counted as waiting for an account

int limit() {
    if (guc::max_concurrent_hashes > 0) return guc::max_concurrent_hashes;
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

bool may_enter(const Gate &gate, HashFor purpose, int most) {
    if (gate.running >= most) return false;
    if (purpose == HashFor::accounts) return true;
    if (gate.running_else == 0 && most > 1) return true;
    return gate.waiting == 0 && gate.running_else < std::max(1, most / 2);
}

// The gate's entry is never removed, so the pointer stays good.
Gate *try_enter(HashFor purpose, bool &entered) {
    const int most = limit();
    return gates.locked([&](auto &map) {
        Gate *const gate = map.find_or_add(the_gate);
        if (gate == nullptr) return gate; // cannot be: the map has room for one
        if (!gate->initialised) {
            ConditionVariableInit(&gate->turn_free);
            gate->initialised = true;
        }
        entered = may_enter(*gate, purpose, most);
        if (entered) {
            ++gate->running;
            if (purpose == HashFor::everything_else) ++gate->running_else;
        }
        const bool is_to_wait = !entered && purpose == HashFor::accounts;
        if (is_to_wait != waits) gate->waiting += is_to_wait ? 1 : -1;
        waits = is_to_wait;
        return gate;
    });
}

/// Gives back whatever this backend has: a turn, a place in the queue.
void leave() {
    Gate *const gate = gates.locked([&](auto &map) {
        Gate *const found = map.find(the_gate);
        if (found == nullptr) return found;
        found->running -= held;
        if (held_for == HashFor::everything_else) found->running_else -= held;
        if (waits) --found->waiting;
        return found;
    });
    held = 0;
    waits = false;
    if (gate != nullptr) ConditionVariableBroadcast(&gate->turn_free);
}

// A backend that is terminated in the middle of a hash exits without running destructors.
void leave_at_exit(int, Datum) {
    if (held > 0 || waits) leave();
}

/// Whoever stops waiting, by an error too, is no longer in the queue.
struct Queued {
    Queued() = default;
    Queued(const Queued &) = delete;
    Queued &operator=(const Queued &) = delete;
    ~Queued() {
        if (waits) leave();
    }
};

bool wait_for_turn(HashFor purpose) {
    static constinit bool watched = false;
    if (!watched) {
        pg::call([] { before_shmem_exit(leave_at_exit, 0); });
        watched = true;
    }
    const Queued queued;
    const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc::hash_wait);
    for (;;) {
        bool entered = false;
        Gate *const gate = try_enter(purpose, entered);
        if (gate == nullptr || entered) {
            pg::call([] { ConditionVariableCancelSleep(); });
            if (entered) {
                ++held;
                held_for = purpose;
            }
            return entered;
        }
        const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
        const bool too_late =
            left <= 0 || pg::call([&] {
                return ConditionVariableTimedSleep(&gate->turn_free, std::min(left, 1000L), PG_WAIT_EXTENSION) &&
                       left <= 1000L;
            });
        if (!too_late) continue;
        pg::call([] { ConditionVariableCancelSleep(); });
        return false;
    }
}
} // namespace

// Who has a turn and needs another one inside, computes one hash after the other: to wait would be to wait for oneself.
HashTurn::HashTurn(HashFor purpose) : counted_(pg::is_preloaded() && held == 0) {
    admitted_ = !counted_ || wait_for_turn(purpose);
}

HashTurn::~HashTurn() {
    if (admitted_ && counted_ && held > 0) leave();
}

} // namespace usher::identity
