#include "usher/identity/account.hpp"
#include <gtest/gtest.h>

namespace usher {
namespace {

TEST(Account, TakesOrdinaryAddresses) {
    for (const char *email :
         {"ann@example.org", "a.b+tag@sub.example.co.uk", "o'neil@example.org", "x@localhost", "jürgen@müller.example"})
        EXPECT_TRUE(is_valid_email(email)) << email;
}

TEST(Account, RefusesWhatIsNoAddress) {
    for (const char *email : {"",
                              "@",
                              "a",
                              "a@",
                              "@b",
                              "a@b@c",
                              "a b@c",
                              "a@b c",
                              "a@-b.org",
                              "a@b-.org",
                              "a@b..org",
                              ".a@b.org",
                              "a.@b.org",
                              "a..b@c.org",
                              "a@b.org.",
                              "\"a\"@b.org",
                              "a@[127.0.0.1]",
                              "a\n@b.org",
                              "a\x7f@b.org",
                              "a\xc2\xa0@b.org",
                              "a\xe2\x80\x8b@b.org",
                              "a\xff@b.org"})
        EXPECT_FALSE(is_valid_email(email)) << email;
}

TEST(Account, LimitsTheLengthOfAddresses) {
    EXPECT_TRUE(is_valid_email(std::string(64, 'a') + "@example.org"));
    EXPECT_FALSE(is_valid_email(std::string(65, 'a') + "@example.org"));
    EXPECT_FALSE(is_valid_email("a@" + std::string(64, 'b') + ".org"));
    std::string longest = "a@";
    while (longest.size() < 250) longest += "b.";
    EXPECT_TRUE(is_valid_email(longest + "org"));
    EXPECT_FALSE(is_valid_email(longest + "bbbbb"));
}

TEST(Account, UsernamesCannotLookLikeAddresses) {
    EXPECT_TRUE(is_valid_username("ann"));
    EXPECT_TRUE(is_valid_username(std::string(50, 'a')));
    for (const std::string &username :
         {std::string(), std::string("a@b"), std::string("a b"), std::string(51, 'a'), std::string("a\tb")})
        EXPECT_FALSE(is_valid_username(username)) << username;
}

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
