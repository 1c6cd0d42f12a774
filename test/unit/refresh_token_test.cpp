#include "common/digest.hpp"
#include "usher/identity/refresh_token.hpp"
#include <gtest/gtest.h>

namespace usher {
namespace {

RefreshToken sample() {
    RefreshToken token;
    for (std::size_t i = 0; i < 16; ++i) token.session_id.bytes[i] = static_cast<std::uint8_t>(i);
    token.generation = 7;
    token.secret = std::string(32, 's');
    return token;
}
const std::string key(32, 'k');

TEST(RefreshToken, TextGivesTheSameTokenBack) {
    const auto token = parse_refresh_token(format_refresh_token(sample()));
    ASSERT_TRUE(token);
    EXPECT_EQ(token->session_id, sample().session_id);
    EXPECT_EQ(token->generation, 7U);
    EXPECT_EQ(token->secret, sample().secret);
}

TEST(RefreshToken, RefusesWhatItDidNotWrite) {
    const std::string good = format_refresh_token(sample());
    EXPECT_FALSE(parse_refresh_token(""));
    EXPECT_FALSE(parse_refresh_token("urt_"));
    EXPECT_FALSE(parse_refresh_token(good.substr(4)));
    EXPECT_FALSE(parse_refresh_token(good.substr(0, good.size() - 1)));
    EXPECT_FALSE(parse_refresh_token(good + "A"));
    EXPECT_FALSE(parse_refresh_token(good + "="));
    EXPECT_FALSE(parse_refresh_token("URT_" + good.substr(4)));
    EXPECT_FALSE(parse_refresh_token(std::string(1000000, 'A')));
}

TEST(RefreshToken, SuccessorIsAlwaysTheSame) {
    EXPECT_EQ(format_refresh_token(successor(sample(), key, 1)), format_refresh_token(successor(sample(), key, 1)));
    EXPECT_NE(format_refresh_token(successor(sample(), key, 1)),
              format_refresh_token(successor(sample(), std::string(32, 'x'), 1)));
}

TEST(RefreshToken, TwoStepsAreOneAfterTheOther) {
    EXPECT_EQ(format_refresh_token(successor(sample(), key, 2)),
              format_refresh_token(successor(successor(sample(), key, 1), key, 1)));
    EXPECT_EQ(successor(sample(), key, 2).generation, 9U);
}

TEST(RefreshToken, StandingFollowsTheChain) {
    const RefreshToken first = sample();
    const RefreshToken second = successor(first, key, 1), third = successor(second, key, 1);
    const std::string hash = refresh_token_hash(third);
    EXPECT_EQ(standing_of(third, 9, hash, key), RefreshStanding::current);
    EXPECT_EQ(standing_of(second, 9, hash, key), RefreshStanding::parent);
    EXPECT_EQ(standing_of(first, 9, hash, key), RefreshStanding::older);
}

TEST(RefreshToken, ForgedTokensAreNotReuse) {
    const RefreshToken current = successor(sample(), key, 2);
    const std::string hash = refresh_token_hash(current);
    RefreshToken forged = sample();
    forged.secret.back() ^= 1;
    EXPECT_EQ(standing_of(forged, 9, hash, key), RefreshStanding::forged);
    RefreshToken ahead = current;
    ahead.generation = 10;
    EXPECT_EQ(standing_of(ahead, 9, hash, key), RefreshStanding::forged);
    RefreshToken renumbered = sample();
    renumbered.generation = 8;
    EXPECT_EQ(standing_of(renumbered, 9, hash, key), RefreshStanding::forged);
}

TEST(RefreshToken, DoesNotFollowForEver) {
    RefreshToken old = sample();
    old.generation = 1;
    EXPECT_EQ(standing_of(old, 4000000000U, std::string(32, 'h'), key), RefreshStanding::forged);
}

} // namespace
} // namespace usher
