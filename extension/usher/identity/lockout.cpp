#include "usher/identity/lockout.hpp"
#include "common/types.hpp"

#include <algorithm>
#include <limits>

namespace usher {

namespace {
/// Both operands are instants or durations that a caller may have got from outside: saturate, never wrap.
std::int64_t add(std::int64_t instant, std::int64_t duration) noexcept {
    std::int64_t sum;
    if (__builtin_add_overflow(instant, duration, &sum))
        return duration > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
    return sum;
}

std::int64_t seconds(std::int64_t count) noexcept {
    std::int64_t product;
    if (__builtin_mul_overflow(count, one_second, &product)) return std::numeric_limits<std::int64_t>::max();
    return product;
}

void decay(LockoutState &state, const LockoutRules &rules, std::int64_t now_us) noexcept {
    if (rules.forget_s > 0 && state.last_failure != 0 && now_us >= add(state.last_failure, seconds(rules.forget_s)))
        state.failures = 0;
    const std::int64_t period = seconds(rules.decay_s);
    if (period <= 0 || state.lockout_count <= 0 || state.last_lock == 0 || now_us <= state.last_lock) return;
    const std::int64_t periods = (now_us - state.last_lock) / period;
    if (periods == 0) return;
    state.lockout_count -= static_cast<std::int32_t>(std::min<std::int64_t>(periods, state.lockout_count));
    state.last_lock = add(state.last_lock, periods * period); // the rest of a period counts next time
}

} // namespace

bool refuses(const LockoutState &state, std::int64_t now_us) noexcept {
    return state.reset_required || now_us < state.locked_until;
}

std::int64_t retry_after(const LockoutState &state, std::int64_t now_us) noexcept {
    if (state.reset_required) return -1;
    if (now_us >= state.locked_until) return 0;
    const std::int64_t left = state.locked_until - std::max<std::int64_t>(now_us, 0);
    return left / one_second + (left % one_second != 0);
}

std::int64_t lock_seconds(std::int32_t failures, const LockoutRules &rules) noexcept {
    if (rules.threshold <= 0 || failures < rules.threshold || rules.base_s <= 0) return 0;
    std::int64_t duration = std::min(rules.base_s, rules.max_s);
    for (std::int32_t i = rules.threshold; i < failures && duration < rules.max_s; ++i)
        duration = duration > rules.max_s / 2 ? rules.max_s : duration * 2;
    return duration;
}

LockoutState after_failure(LockoutState state, const LockoutRules &rules, std::int64_t now_us) noexcept {
    decay(state, rules, now_us);
    if (state.failures < std::numeric_limits<std::int32_t>::max()) ++state.failures;
    state.last_failure = now_us;
    if (const std::int64_t duration = lock_seconds(state.failures, rules); duration > 0) {
        state.locked_until = add(now_us, seconds(duration));
        if (state.lockout_count < std::numeric_limits<std::int32_t>::max()) ++state.lockout_count;
        state.last_lock = now_us;
    }
    if (rules.reset_required_at > 0 && state.failures >= rules.reset_required_at) state.reset_required = true;
    return state;
}

} // namespace usher
