// What a success takes back of the failures of a network.
#include "usher/identity/failed_names.hpp"
#include <gtest/gtest.h>

using namespace usher;

namespace {
std::string key(char c) { return failed_names::key_of(std::string(32, c)); }

std::string names_of(std::string_view letters) {
    std::string names;
    for (const char c : letters) names = failed_names::with(names, key(c));
    return names;
}
} // namespace

TEST(FailedNames, KeepsWhatOthersHaveFailed) {
    const auto rest = failed_names::without(names_of("abacab"), {key('a')});
    EXPECT_EQ(rest.removed, 3);
    EXPECT_EQ(rest.names, names_of("bcb"));
}

TEST(FailedNames, TakesBackNothingOfAnotherName) {
    const auto rest = failed_names::without(names_of("abc"), {key('x')});
    EXPECT_EQ(rest.removed, 0);
    EXPECT_EQ(rest.names, names_of("abc"));
    EXPECT_EQ(failed_names::without("", {key('x')}).removed, 0);
}

TEST(FailedNames, TakesBackEveryNameOfAnAccount) {
    EXPECT_EQ(failed_names::without(names_of("abcab"), {key('a'), key('b')}).names, names_of("c"));
}

TEST(FailedNames, KnowsTheLastOne) {
    EXPECT_TRUE(failed_names::is_last(names_of("ab"), key('b')));
    EXPECT_FALSE(failed_names::is_last(names_of("ab"), key('a')));
    EXPECT_FALSE(failed_names::is_last("", key('a')));
}

TEST(FailedNames, AreBounded) {
    std::string names;
    for (int i = 0; i < 1000; ++i) names = failed_names::with(names, key(static_cast<char>('a' + i % 26)));
    EXPECT_EQ(names.size(), failed_names::most * failed_names::size);
    EXPECT_TRUE(failed_names::is_last(names, key('a' + 999 % 26)));
}

TEST(FailedNames, AFailureWithoutANameIsNobodys) {
    const std::string names = failed_names::with(names_of("a"), failed_names::key_of({}));
    EXPECT_EQ(failed_names::without(names, {key('a')}).names, failed_names::key_of({}));
}
