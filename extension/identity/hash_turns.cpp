#include "identity/hash_turns.hpp"
#include "pg/guc.hpp"
#include "pg/shared.hpp"
#include <thread>

namespace usher::identity {

namespace {
struct Key {
    std::uint32_t only;
};
struct Gate {
    Key key;
    std::int32_t running;
    bool initialised;
    ConditionVariable turn_free;
};
constexpr Key the_gate{0};
pg::SharedMap<Key, Gate> gates{"usher password hashes", 1};

constinit int held = 0; // 1 while this backend has a turn

int limit() {
    if (guc::max_concurrent_hashes > 0) return guc::max_concurrent_hashes;
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

// The gate's entry is never removed, so the pointer stays good.
Gate *try_enter(bool &entered) {
    const int most = limit();
    return gates.locked([&](auto &map) {
        Gate *const gate = map.find_or_add(the_gate);
        if (gate == nullptr) return gate; // cannot be: the map has room for one
        if (!gate->initialised) {
            ConditionVariableInit(&gate->turn_free);
            gate->initialised = true;
        }
        entered = gate->running < most;
        if (entered) ++gate->running;
        return gate;
    });
}

void leave(int turns) {
    Gate *const gate = gates.locked([&](auto &map) {
        Gate *const found = map.find(the_gate);
        if (found != nullptr) found->running -= turns;
        return found;
    });
    if (gate != nullptr) ConditionVariableBroadcast(&gate->turn_free);
}

// A backend that is terminated in the middle of a hash exits without running destructors.
void leave_at_exit(int, Datum) {
    if (held > 0) leave(held);
    held = 0;
}

bool wait_for_turn() {
    static constinit bool watched = false;
    if (!watched) {
        pg::call([] { before_shmem_exit(leave_at_exit, 0); });
        watched = true;
    }
    const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc::hash_wait);
    for (;;) {
        bool entered = false;
        Gate *const gate = try_enter(entered);
        if (gate == nullptr || entered) {
            pg::call([] { ConditionVariableCancelSleep(); });
            if (entered) ++held;
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

// Who has a turn and needs another one inside, computes one hash after the other: to wait would be to wait for himself.
HashTurn::HashTurn() : counted_(pg::is_preloaded() && held == 0) { admitted_ = !counted_ || wait_for_turn(); }

HashTurn::~HashTurn() {
    if (!admitted_ || !counted_ || held == 0) return;
    --held;
    leave(1);
}

int running_hashes() {
    if (!pg::is_preloaded()) return 0;
    return gates.locked([](auto &map) {
        const Gate *const gate = map.find(the_gate);
        return gate == nullptr ? 0 : gate->running;
    });
}

} // namespace usher::identity
