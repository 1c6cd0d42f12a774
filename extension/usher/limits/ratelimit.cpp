#include "usher/limits/ratelimit.hpp"
#include <algorithm>
#include <array>

namespace usher::ratelimit {

namespace {
using Wide = __int128; // hits times microseconds times a million do not fit into 64 bits
constexpr std::int64_t token = 1'000'000;

std::int64_t divide_up(Wide a, Wide b) { return static_cast<std::int64_t>((a + b - 1) / b); }

// Drops windows that are over.
void roll(const Policy &policy, State &state, Instant now) {
    if (state.window_start == 0) state.window_start = now;
    const std::int64_t age = std::max<std::int64_t>(0, now - state.window_start);
    const std::int64_t windows = age / policy.period_us;
    if (windows == 0) return;
    state.previous_count = windows == 1 ? state.count : 0;
    state.count = 0;
    // A fixed window starts with its first hit; sliding windows follow each other without a gap.
    if (policy.algorithm == Algorithm::fixed_window || windows > 1)
        state.window_start = now;
    else
        state.window_start += policy.period_us;
}

Decision fixed_window(const Policy &policy, State &state, Instant now, std::int64_t cost) {
    roll(policy, state, now);
    Decision decision;
    decision.allowed = state.count + cost <= policy.max_hits;
    if (decision.allowed) state.count += cost;
    decision.reset_at = state.window_start + policy.period_us;
    decision.remaining = std::max<std::int64_t>(0, policy.max_hits - state.count);
    if (!decision.allowed) decision.retry_after_us = std::max<std::int64_t>(1, decision.reset_at - now);
    return decision;
}

Decision sliding_window(const Policy &policy, State &state, Instant now, std::int64_t cost) {
    roll(policy, state, now);
    const std::int64_t age = std::clamp<std::int64_t>(now - state.window_start, 0, policy.period_us);
    const std::int64_t left = policy.period_us - age; // of the previous window, still within the period
    const auto weight_of_previous = [&](std::int64_t us) {
        return divide_up(Wide(state.previous_count) * us, policy.period_us);
    };
    const std::int64_t used = state.count + weight_of_previous(left);
    Decision decision;
    decision.allowed = used + cost <= policy.max_hits;
    if (decision.allowed) {
        state.count += cost;
    } else {
        const std::int64_t room = policy.max_hits - cost - state.count; // for what the previous window may still count
        if (room >= 0) {                                                // enough of it leaves while this window lasts
            const auto share = static_cast<std::int64_t>(Wide(room) * policy.period_us /
                                                         std::max<std::int64_t>(1, state.previous_count));
            decision.retry_after_us = std::max<std::int64_t>(1, left - share);
        } else { // this window becomes the previous one, and then enough of it must leave
            const auto share = static_cast<std::int64_t>(Wide(policy.max_hits - cost) * policy.period_us /
                                                         std::max<std::int64_t>(1, state.count));
            decision.retry_after_us = left + std::max<std::int64_t>(1, policy.period_us - share);
        }
    }
    decision.remaining = std::max<std::int64_t>(0, policy.max_hits - state.count - weight_of_previous(left));
    decision.reset_at = state.window_start + policy.period_us + (state.count > 0 ? policy.period_us : 0);
    return decision;
}

Decision token_bucket(const Policy &policy, State &state, Instant now, std::int64_t cost) {
    const Wide capacity = Wide(policy.max_hits) * token;
    if (state.window_start == 0) state.window_start = now;
    const std::int64_t elapsed = std::clamp<std::int64_t>(now - state.window_start, 0, policy.period_us);
    // What has not made a whole millionth of a token yet stays in window_start.
    const auto refilled = static_cast<std::int64_t>(capacity * elapsed / policy.period_us);
    if (refilled >= state.count) {
        state.count = 0;
        state.window_start = std::max(state.window_start, now);
    } else if (refilled > 0) {
        state.count -= refilled;
        state.window_start += divide_up(Wide(refilled) * policy.period_us, capacity);
    }
    const std::int64_t price = cost * token;
    Decision decision;
    decision.allowed = Wide(state.count) + price <= capacity;
    if (decision.allowed) state.count += price;
    const auto time_for = [&](std::int64_t amount) { return divide_up(Wide(amount) * policy.period_us, capacity); };
    if (!decision.allowed)
        decision.retry_after_us = std::max<std::int64_t>(
            1, state.window_start + time_for(static_cast<std::int64_t>(state.count + price - capacity)) - now);
    decision.remaining = static_cast<std::int64_t>((capacity - state.count) / token);
    decision.reset_at = state.window_start + time_for(state.count);
    return decision;
}
/// Each algorithm with its name, as policies have it, and its arithmetic.
struct Entry {
    Algorithm algorithm;
    const char *name;
    Decision (*decide)(const Policy &policy, State &state, Instant now, std::int64_t cost);
};
constexpr std::array<Entry, 3> entries{{{Algorithm::fixed_window, "fixed_window", fixed_window},
                                        {Algorithm::sliding_window, "sliding_window", sliding_window},
                                        {Algorithm::token_bucket, "token_bucket", token_bucket}}};
static_assert(std::ranges::all_of(entries,
                                  [](const Entry &each) { return &each - entries.data() == int(each.algorithm); }));

const Entry &entry_of(Algorithm algorithm) { return entries.at(static_cast<std::size_t>(algorithm)); }
} // namespace

std::optional<Algorithm> parse_algorithm(std::string_view name) {
    const auto found = std::ranges::find(entries, name, [](const Entry &each) { return std::string_view(each.name); });
    return found == entries.end() ? std::nullopt : std::optional(found->algorithm);
}

const char *name_of(Algorithm algorithm) { return entry_of(algorithm).name; }

std::vector<Algorithm> all_algorithms() {
    std::vector<Algorithm> all;
    for (const Entry &each : entries) all.push_back(each.algorithm);
    return all;
}

Decision hit(const Policy &policy, State &state, Instant now, std::int64_t cost) {
    if (now < state.blocked_until) return {false, 0, state.blocked_until - now, state.blocked_until};
    Decision decision = entry_of(policy.algorithm).decide(policy, state, now, cost);
    if (!decision.allowed && policy.block_for_us > 0) {
        state.blocked_until = now + policy.block_for_us;
        decision.retry_after_us = std::max(decision.retry_after_us, policy.block_for_us);
        decision.reset_at = std::max(decision.reset_at, state.blocked_until);
        decision.remaining = 0;
    }
    return decision;
}

} // namespace usher::ratelimit
