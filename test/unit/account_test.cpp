#include "usher/identity/account.hpp"
#include <gtest/gtest.h>

namespace usher {
namespace {

TEST(Account, CountsCharactersOfNames) {
    std::string umlauts;
    for (int i = 0; i < 100; ++i) umlauts += "ä";
    EXPECT_TRUE(is_valid_name(umlauts));
    EXPECT_FALSE(is_valid_name(umlauts + "a"));
    EXPECT_TRUE(is_valid_name(""));
    EXPECT_FALSE(is_valid_name("a\nb"));
}

TEST(Account, PhoneNumbers) {
    for (const char *phone : {"+49 30 123456", "030/123-456", "123", "1(2)3.4"})
        EXPECT_TRUE(is_valid_phone(phone)) << phone;
    for (const char *phone : {"", "+", "abc", "(030) 1", "1+2", "123456789012345678901"})
        EXPECT_FALSE(is_valid_phone(phone)) << phone;
}

TEST(Account, KeepsNoPasswordsTypedAsNames) {
    EXPECT_EQ(recordable_name("ann@example.org"), "ann@example.org");
    EXPECT_EQ(recordable_name("correct horse battery"), "?");
    EXPECT_EQ(recordable_name("hunter2"), "?");
}

TEST(Account, Trims) {
    EXPECT_EQ(trim("  a b\t\n"), "a b");
    EXPECT_EQ(trim(" \n "), "");
}

} // namespace
} // namespace usher
