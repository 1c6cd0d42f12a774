// Rate limit arithmetic: three algorithms over the state of one key.
//
// - fixed_window: max_hits in each window; windows are aligned to the first hit. Cheap and exact per window, but two
//   windows' worth may pass around a boundary.
// - sliding_window: the hits of the current window plus the share of the previous one that is still within the period.
//   Smooth; off by little when hits were bunched in the previous window.
// - token_bucket: max_hits tokens, refilled evenly over the period; a hit takes `cost` tokens. Bursts up to max_hits,
//   then the even rate.
//
// Refused hits are not counted. With block_for, a refusal also blocks the key for that long.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string_view>
#include <vector>

namespace usher::ratelimit {

enum class Algorithm : std::uint8_t { fixed_window, sliding_window, token_bucket };
/// Nothing for a name that no algorithm has.
std::optional<Algorithm> parse_algorithm(std::string_view name);
const char *name_of(Algorithm algorithm);
std::vector<Algorithm> all_algorithms();

/// Within the limits of define_rate_limit(), which the CHECKs of usher.rate_limit_policies hold too.
struct Policy {
    Algorithm algorithm = Algorithm::fixed_window;
    std::int64_t max_hits = 1;
    std::int64_t period_us = 1;
    std::int64_t block_for_us = 0; // 0: no block
};

/// What is kept of a key. All zero for one that was never seen.
struct State {
    Instant window_start = 0;        // windows; token_bucket: when `level` was right
    std::int64_t count = 0;          // hits of the current window; token_bucket: used up, in millionths of a token
    std::int64_t previous_count = 0; // sliding_window: hits of the window before
    Instant blocked_until = 0;
};

struct Decision {
    bool allowed = false;
    std::int64_t remaining = 0;      // further hits of cost 1 that would be allowed now
    std::int64_t retry_after_us = 0; // 0 when allowed
    Instant reset_at = 0;            // when nothing that was counted has an effect any longer
};

/// Decides about `cost` hits (1 to max_hits) at `now` and brings the state up to date. A clock that went back counts as
/// stopped.
Decision hit(const Policy &policy, State &state, Instant now, std::int64_t cost);

} // namespace usher::ratelimit
