#include "usher/limits/ratelimit.hpp"
#include <gtest/gtest.h>
#include <random>

using namespace usher::ratelimit;
using usher::Instant;

namespace {
constexpr std::int64_t second = 1'000'000;
constexpr Instant start = 1'000'000 * second;

Policy policy(Algorithm algorithm, std::int64_t max_hits, std::int64_t period_s, std::int64_t block_s = 0) {
    return {algorithm, max_hits, period_s * second, block_s * second};
}
int hits(const Policy &rule, State &state, Instant now, int tries) {
    int allowed = 0;
    for (int i = 0; i < tries; ++i) allowed += hit(rule, state, now, 1).allowed;
    return allowed;
}
} // namespace

TEST(RateLimit, Names) {
    EXPECT_EQ(parse_algorithm("fixed_window"), Algorithm::fixed_window);
    EXPECT_EQ(parse_algorithm("sliding_window"), Algorithm::sliding_window);
    EXPECT_EQ(parse_algorithm("token_bucket"), Algorithm::token_bucket);
    EXPECT_FALSE(parse_algorithm("leaky"));
}

TEST(FixedWindow, AllowsMaxHitsPerWindow) {
    const Policy rule = policy(Algorithm::fixed_window, 3, 60);
    State state;
    EXPECT_EQ(hits(rule, state, start, 5), 3);
    const Decision refused = hit(rule, state, start + 10 * second, 1);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after_us, 50 * second);
    EXPECT_EQ(refused.reset_at, start + 60 * second);
    EXPECT_FALSE(hit(rule, state, start + 60 * second - 1, 1).allowed);
    EXPECT_TRUE(hit(rule, state, start + 60 * second, 1).allowed);
}

TEST(FixedWindow, StartsWithItsFirstHit) {
    const Policy rule = policy(Algorithm::fixed_window, 2, 60);
    State state;
    hit(rule, state, start, 1);
    EXPECT_EQ(hit(rule, state, start + 90 * second, 1).reset_at, start + 150 * second);
}

TEST(FixedWindow, Cost) {
    const Policy rule = policy(Algorithm::fixed_window, 10, 60);
    State state;
    EXPECT_EQ(hit(rule, state, start, 7).remaining, 3);
    EXPECT_FALSE(hit(rule, state, start, 4).allowed);
    EXPECT_EQ(hit(rule, state, start, 3).remaining, 0);
}

TEST(SlidingWindow, CountsTheShareOfThePreviousWindow) {
    const Policy rule = policy(Algorithm::sliding_window, 10, 60);
    State state;
    EXPECT_EQ(hits(rule, state, start, 20), 10);
    // a quarter into the next window three quarters of the ten still weigh: 7.5, taken as 8
    EXPECT_EQ(hits(rule, state, start + 75 * second, 20), 2);
    EXPECT_EQ(hits(rule, state, start + 200 * second, 20), 10);
}

TEST(SlidingWindow, RetryAfterIsEnoughAndNotMuchMore) {
    const Policy rule = policy(Algorithm::sliding_window, 7, 60);
    State state;
    hits(rule, state, start, 7);
    Decision refused = hit(rule, state, start + second, 3);
    ASSERT_FALSE(refused.allowed);
    State early = state;
    EXPECT_FALSE(hit(rule, early, start + second + refused.retry_after_us - second, 3).allowed);
    EXPECT_TRUE(hit(rule, state, start + second + refused.retry_after_us, 3).allowed);
}

TEST(TokenBucket, RefillsEvenly) {
    const Policy rule = policy(Algorithm::token_bucket, 6, 60);
    State state;
    EXPECT_EQ(hits(rule, state, start, 10), 6);
    const Decision refused = hit(rule, state, start, 1);
    EXPECT_EQ(refused.retry_after_us, 10 * second);
    EXPECT_FALSE(hit(rule, state, start + 10 * second - 1, 1).allowed);
    EXPECT_TRUE(hit(rule, state, start + 10 * second, 1).allowed);
    EXPECT_EQ(hits(rule, state, start + 1000 * second, 10), 6);
}

TEST(TokenBucket, NothingIsLostInManySmallSteps) {
    const Policy rule = policy(Algorithm::token_bucket, 7, 60);
    State state;
    hits(rule, state, start, 7);
    int allowed = 0;
    for (Instant now = start; now < start + 601 * second; now += 12'345) allowed += hit(rule, state, now, 1).allowed;
    EXPECT_EQ(allowed, 70); // 7 a minute for ten minutes, found within the next second
}

TEST(Block, RefusesForItsTimeAndOnlyThen) {
    const Policy rule = policy(Algorithm::fixed_window, 1, 1, 30);
    State state;
    EXPECT_TRUE(hit(rule, state, start, 1).allowed);
    EXPECT_EQ(hit(rule, state, start, 1).retry_after_us, 30 * second);
    EXPECT_EQ(hit(rule, state, start + 10 * second, 1).retry_after_us,
              20 * second); // trying again does not lengthen it
    EXPECT_TRUE(hit(rule, state, start + 30 * second, 1).allowed);
}

TEST(RateLimit, AClockThatGoesBackCountsAsStopped) {
    for (const Algorithm algorithm : {Algorithm::fixed_window, Algorithm::sliding_window, Algorithm::token_bucket}) {
        const Policy rule = policy(algorithm, 2, 60);
        State state;
        EXPECT_EQ(hits(rule, state, start, 2), 2);
        EXPECT_FALSE(hit(rule, state, start - 3600 * second, 1).allowed);
    }
}

TEST(RateLimit, LargestPoliciesDoNotOverflow) {
    constexpr std::int64_t most_hits = 1'000'000, longest = 366 * 86'400 * second; // of define_rate_limit()
    for (const Algorithm algorithm : {Algorithm::fixed_window, Algorithm::sliding_window, Algorithm::token_bucket}) {
        const Policy rule{algorithm, most_hits, longest, longest};
        State state;
        EXPECT_TRUE(hit(rule, state, start, most_hits).allowed);
        const Decision refused = hit(rule, state, start + 1, most_hits);
        EXPECT_FALSE(refused.allowed);
        EXPECT_GT(refused.retry_after_us, 0);
        EXPECT_TRUE(hit(rule, state, start + 3 * longest, most_hits).allowed);
    }
}

// Whatever happens: never more than two windows' worth in any period (fixed), and a refused caller who waits as told
// gets through.
TEST(RateLimit, WaitingAsToldIsEnough) {
    std::mt19937 random(42);
    for (const Algorithm algorithm : {Algorithm::fixed_window, Algorithm::sliding_window, Algorithm::token_bucket}) {
        const Policy rule = policy(algorithm, 5, 10);
        State state;
        Instant now = start;
        for (int i = 0; i < 20'000; ++i) {
            now += std::uniform_int_distribution<std::int64_t>(0, 3 * second)(random);
            const auto cost = std::uniform_int_distribution<std::int64_t>(1, 5)(random);
            const Decision decision = hit(rule, state, now, cost);
            EXPECT_GE(decision.remaining, 0);
            EXPECT_LE(decision.remaining, 5);
            if (decision.allowed) continue;
            ASSERT_GT(decision.retry_after_us, 0);
            State later = state;
            ASSERT_TRUE(hit(rule, later, now + decision.retry_after_us, cost).allowed)
                << static_cast<int>(algorithm) << " at " << i;
        }
    }
}
