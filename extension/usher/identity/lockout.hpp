// Lockout after wrong passwords: pure arithmetic over a counter, the same for an account and for a network.
// The 5th consecutive failure locks for 30 s; each failure after that lock doubles it, up to 1 h; at 100
// consecutive failures the account stays shut until a password reset or an administrator opens it.
// Attempts while locked are neither evaluated nor counted: ask refuses() first, and count only what it let pass.
#pragma once
#include <cstdint>

namespace usher {

struct LockoutRules {
    std::int32_t threshold = 5;
    std::int64_t base_s = 30;
    std::int64_t max_s = 3600;
    std::int32_t reset_required_at = 100; // 0: never (networks)
    std::int64_t decay_s = 86400;         // lockout_count goes down by one for each such period without a lock
    std::int64_t forget_s = 0;            // failures are forgotten so long after the last one; 0: never
};

struct LockoutState {               // instants: microseconds since the Unix epoch; 0: never
    std::int32_t failures = 0;      // consecutive
    std::int32_t lockout_count = 0; // locks, decaying
    std::int64_t locked_until = 0;
    std::int64_t last_failure = 0;
    std::int64_t last_lock = 0;
    bool reset_required = false;
};

/// True when a password must not even be looked at now.
bool refuses(const LockoutState &state, std::int64_t now_us) noexcept;

/// Whole seconds, rounded up, until the lock ends; 0 when not locked; -1 when only a reset opens it.
std::int64_t retry_after(const LockoutState &state, std::int64_t now_us) noexcept;

/// How long the lock lasts that this many consecutive failures bring; 0 below the threshold.
std::int64_t lock_seconds(std::int32_t failures, const LockoutRules &rules) noexcept;

/// The state after one more evaluated failure.
LockoutState after_failure(LockoutState state, const LockoutRules &rules, std::int64_t now_us) noexcept;

// What a success and a reset put back is a statement (forget_failures(), unlock() and set_hash() in guesses.hpp).

} // namespace usher
