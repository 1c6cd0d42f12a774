// The bounded memory of verified tokens.
#include "core/verified_tokens.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher;

TEST(VerifiedTokens, RemembersUntilCleared) {
    VerifiedTokens tokens;
    EXPECT_EQ(tokens.find(sha256("a")), nullptr);
    tokens.insert(sha256("a")).claims = "one";
    tokens.insert(sha256("b")).claims = "two";
    EXPECT_EQ(tokens.find(sha256("a"))->claims, "one");
    EXPECT_EQ(tokens.find(sha256("b"))->claims, "two");
    EXPECT_EQ(tokens.find(sha256("c")), nullptr);
    tokens.clear();
    EXPECT_EQ(tokens.find(sha256("a")), nullptr);
    EXPECT_TRUE(tokens.insert(sha256("a")).parsed.empty());
}

TEST(VerifiedTokens, IsBoundedAndDropsTheLongestUnused) {
    VerifiedTokens tokens;
    const auto hash_in_one_set = [](std::uint8_t n) {
        Sha256 hash{};
        hash[31] = n;
        return hash;
    };
    for (std::uint8_t n = 1; n <= VerifiedTokens::ways; ++n) tokens.insert(hash_in_one_set(n)).claims = std::to_string(n);
    ASSERT_NE(tokens.find(hash_in_one_set(1)), nullptr); // used again, so 2 is now the oldest
    tokens.insert(hash_in_one_set(99));
    EXPECT_NE(tokens.find(hash_in_one_set(1)), nullptr);
    EXPECT_EQ(tokens.find(hash_in_one_set(2)), nullptr);
    EXPECT_NE(tokens.find(hash_in_one_set(99)), nullptr);
    std::size_t kept = 0;
    for (int i = 0; i < 20000; ++i) tokens.insert(sha256(std::to_string(i)));
    for (int i = 0; i < 20000; ++i) kept += tokens.find(sha256(std::to_string(i))) != nullptr;
    EXPECT_LE(kept, VerifiedTokens::sets * VerifiedTokens::ways);
    EXPECT_GT(kept, VerifiedTokens::sets * VerifiedTokens::ways / 2);
}

} // namespace
