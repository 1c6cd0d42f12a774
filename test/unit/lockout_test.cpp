// Lockout arithmetic with the numbers of the defaults: 5 failures, 30 s, doubling to 1 h, reset at 100.
#include "usher/identity/lockout.hpp"
#include <gtest/gtest.h>

#include <limits>

namespace {

using namespace usher;

constexpr std::int64_t second = 1000000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t day = 24 * hour;
constexpr std::int64_t start = 1700000000 * second;

LockoutState failures(int count, const LockoutRules &rules = {}) {
    LockoutState state;
    for (int i = 0; i < count; ++i) state = after_failure(state, rules, start);
    return state;
}

TEST(Lockout, LetsFourFailuresPass) {
    const LockoutState state = failures(4);
    EXPECT_FALSE(refuses(state, start));
    EXPECT_EQ(retry_after(state, start), 0);
    EXPECT_EQ(state.lockout_count, 0);
}

TEST(Lockout, LocksForThirtySecondsAtTheFifth) {
    const LockoutState state = failures(5);
    EXPECT_TRUE(refuses(state, start));
    EXPECT_EQ(retry_after(state, start), 30);
    EXPECT_EQ(retry_after(state, start + 1), 30);
    EXPECT_EQ(retry_after(state, start + 29 * second), 1);
    EXPECT_TRUE(refuses(state, start + 30 * second - 1));
    EXPECT_FALSE(refuses(state, start + 30 * second));
    EXPECT_EQ(state.lockout_count, 1);
}

TEST(Lockout, DoublesWithEachFailureUpToAnHour) {
    const std::int64_t expected[] = {30, 60, 120, 240, 480, 960, 1920, 3600, 3600};
    for (int i = 0; i < 9; ++i) {
        EXPECT_EQ(lock_seconds(5 + i, {}), expected[i]);
        EXPECT_EQ(retry_after(failures(5 + i), start), expected[i]);
    }
    EXPECT_EQ(lock_seconds(std::numeric_limits<std::int32_t>::max(), {}), 3600);
}

TEST(Lockout, NeedsAResetAfterAHundredFailures) {
    EXPECT_FALSE(failures(99).reset_required);
    const LockoutState state = failures(100);
    EXPECT_TRUE(state.reset_required);
    EXPECT_TRUE(refuses(state, start + 365 * day));
    EXPECT_EQ(retry_after(state, start), -1);
    LockoutRules network;
    network.reset_required_at = 0;
    EXPECT_FALSE(failures(200, network).reset_required);
}

TEST(Lockout, LetsTheCountOfLocksDecayByOnePerDay) {
    LockoutState locked = failures(7); // three locks
    locked.failures = 0;               // as a success leaves them: the next failure brings no lock
    const auto after = [](const LockoutState &state, std::int64_t hours) {
        return after_failure(state, {}, start + hours * hour);
    };
    EXPECT_EQ(after(locked, 23).lockout_count, 3);
    EXPECT_EQ(after(locked, 24).lockout_count, 2);
    EXPECT_EQ(after(locked, 47).lockout_count, 2);
    EXPECT_EQ(after(locked, 48).lockout_count, 1);
    EXPECT_EQ(after(locked, 1000).lockout_count, 0);
    // Two failures at 30 and 48 hours come to the same as one at 48.
    EXPECT_EQ(after(after(locked, 30), 48).lockout_count, 1);
}

TEST(Lockout, ForgetsOldFailuresWhereThatIsTheRule) {
    LockoutRules network;
    network.forget_s = 3600;
    const LockoutState state = failures(4, network);
    EXPECT_EQ(after_failure(state, network, start + 3599 * second).failures, 5);
    EXPECT_EQ(after_failure(state, network, start + hour).failures, 1);
    EXPECT_EQ(after_failure(failures(4), {}, start + 365 * day).failures, 5);
}

TEST(Lockout, SurvivesStrangeRulesAndInstants) {
    LockoutRules rules;
    rules.base_s = std::numeric_limits<std::int64_t>::max();
    rules.max_s = std::numeric_limits<std::int64_t>::max();
    const LockoutState state = after_failure(failures(10, rules), rules, std::numeric_limits<std::int64_t>::max() - 1);
    EXPECT_EQ(state.locked_until, std::numeric_limits<std::int64_t>::max());
    EXPECT_TRUE(refuses(state, start));
    rules.threshold = 0; // off
    EXPECT_EQ(lock_seconds(50, rules), 0);
    LockoutState full;
    full.failures = full.lockout_count = std::numeric_limits<std::int32_t>::max();
    EXPECT_EQ(after_failure(full, {}, start).failures, std::numeric_limits<std::int32_t>::max());
}

} // namespace
