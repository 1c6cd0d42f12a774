// The bounded memory of verified tokens.
#include "usher/identity/verified_tokens.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher;

TEST(SipHash,
     MatchesTheReferenceVectors) { // vectors_sip128 of the reference implementation: key 00..0f, message 00, 00 01 …
    const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    const auto hash = [&](std::size_t size) {
        std::string message;
        for (std::size_t i = 0; i < size; ++i) message += static_cast<char>(i);
        return siphash128(key, message);
    };
    EXPECT_EQ(hash(0), (SipHash{0xe6a825ba047f81a3, 0x930255c71472f66d}));
    EXPECT_EQ(hash(1), (SipHash{0x44af996bd8c187da, 0x45fc229b11597634}));
    EXPECT_NE(siphash128({1, 0}, "a"), siphash128({0, 1}, "a"));
}

TEST(VerifiedTokens, RemembersUntilCleared) {
    VerifiedTokens tokens;
    EXPECT_EQ(tokens.find(tokens.hash("a")), nullptr);
    tokens.insert(tokens.hash("a")).claims = "one";
    tokens.insert(tokens.hash("b")).claims = "two";
    EXPECT_EQ(tokens.find(tokens.hash("a"))->claims, "one");
    EXPECT_EQ(tokens.find(tokens.hash("b"))->claims, "two");
    EXPECT_EQ(tokens.find(tokens.hash("c")), nullptr);
    tokens.clear();
    EXPECT_EQ(tokens.find(tokens.hash("a")), nullptr);
    EXPECT_TRUE(tokens.insert(tokens.hash("a")).parsed.empty());
}

TEST(VerifiedTokens, IsBoundedAndDropsTheLongestUnused) {
    VerifiedTokens tokens;
    const auto hash_in_one_set = [](std::uint8_t n) { return SipHash{0, n}; };
    for (std::uint8_t n = 1; n <= VerifiedTokens::ways; ++n)
        tokens.insert(hash_in_one_set(n)).claims = std::to_string(n);
    ASSERT_NE(tokens.find(hash_in_one_set(1)), nullptr); // used again, so 2 is now the oldest
    tokens.insert(hash_in_one_set(99));
    EXPECT_NE(tokens.find(hash_in_one_set(1)), nullptr);
    EXPECT_EQ(tokens.find(hash_in_one_set(2)), nullptr);
    EXPECT_NE(tokens.find(hash_in_one_set(99)), nullptr);
    std::size_t kept = 0;
    for (int i = 0; i < 20000; ++i) tokens.insert(tokens.hash(std::to_string(i)));
    for (int i = 0; i < 20000; ++i) kept += tokens.find(tokens.hash(std::to_string(i))) != nullptr;
    EXPECT_LE(kept, VerifiedTokens::sets * VerifiedTokens::ways);
    EXPECT_GT(kept, VerifiedTokens::sets * VerifiedTokens::ways / 2);
}

} // namespace
