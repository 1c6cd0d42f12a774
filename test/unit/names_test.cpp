#include "common/utf8.hpp"
#include "usher/identity/names.hpp"
#include <gtest/gtest.h>
#include <random>

namespace usher {
namespace {

/// Everything that is one name: the form in which it is stored, and whether all the others lead there.
void expect_one(const std::string &stored, const std::vector<std::string> &others) {
    EXPECT_EQ(normalize_name(stored), stored);
    for (const std::string &each : others) EXPECT_EQ(normalize_name(each), stored) << each;
}
void expect_none(const std::vector<std::string> &texts) {
    for (const std::string &each : texts) {
        EXPECT_EQ(normalize_name(each), std::nullopt) << each;
        EXPECT_EQ(name_key(each), std::nullopt) << each;
    }
}
std::string character(std::uint32_t code_point) {
    std::string out;
    append_utf8(out, code_point);
    return out;
}

TEST(Names, TakesOrdinaryAddresses) {
    for (const char *email : {"ann@example.org", "a.b+tag@sub.example.co.uk", "o'neil@example.org", "x@localhost",
                              "josé@example.org", "x@r3---sn-4g5e.example"})
        expect_one(email, {std::string(" ") + email + "\n"});
}

TEST(Names, RefusesWhatIsNoAddress) {
    expect_none({"@",
                 "a@",
                 "@b",
                 "a@b@c",
                 "a b@c",
                 "a@b c",
                 "a@-b.org",
                 "a@b-.org",
                 "a@b..org",
                 "a@b_c.org",
                 ".a@b.org",
                 "a.@b.org",
                 "a..b@c.org",
                 "a@b.org.",
                 "\"a\"@b.org",
                 "a@[127.0.0.1]",
                 "a\n@b.org",
                 "a\x7f@b.org",
                 "a\xff@b.org",
                 "a,b@c.org",
                 "a@xn--bcher-kva1.example",
                 "a@xn--a.example"});
    EXPECT_EQ(normalize_email("ann"), std::nullopt);
    EXPECT_EQ(normalize_email(""), std::nullopt);
}

TEST(Names, LimitsTheLengthOfAddresses) {
    EXPECT_TRUE(normalize_email(std::string(64, 'a') + "@example.org"));
    EXPECT_FALSE(normalize_email(std::string(65, 'a') + "@example.org"));
    EXPECT_FALSE(normalize_email("a@" + std::string(64, 'b') + ".org"));
    std::string longest = "a@";
    while (longest.size() < 250) longest += "b.";
    EXPECT_TRUE(normalize_email(longest + "org"));
    EXPECT_FALSE(normalize_email(longest + "bbbbb"));
    EXPECT_FALSE(normalize_email(std::string(1 << 20, 'a') + "@example.org"));
    std::string accents = "e"; // short when composed, and still too long to look at
    for (int i = 0; i < 600; ++i) accents += "\u0301";
    EXPECT_FALSE(normalize_username(accents));
}

TEST(Names, UsernamesCannotLookLikeAddresses) {
    EXPECT_EQ(normalize_username("ann"), "ann");
    EXPECT_EQ(normalize_username(std::string(50, 'a')), std::string(50, 'a'));
    for (const std::string &username : {std::string(), std::string(" "), std::string("a@b"), std::string("a b"),
                                        std::string(51, 'a'), std::string("a\tb"), std::string("a\uFF20b")})
        EXPECT_EQ(normalize_username(username), std::nullopt) << username;
    EXPECT_TRUE(is_meant_as_email("a\uFF20b"));
    EXPECT_FALSE(is_meant_as_email("ab"));
}

TEST(Names, ComposedAndDecomposedAreOne) {
    expect_one("jos\u00e9", {"jose\u0301"});
    expect_one("jos\u00e9@example.org", {"jose\u0301@example.org"});
    expect_one("\uac00", {"\u1100\u1161"}); // Hangul
}

TEST(Names, WidthDoesNotMatter) {
    expect_one("jose@example.org", {"\uff4a\uff4f\uff53\uff45\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.org"});
    expect_one("jose1", {"\uff4aose\uff11"});
    expect_one("\u30ab\u30bf", {"\uff76\uff80"}); // Katakana
}

TEST(Names, OneDomainIsOneAddress) {
    expect_one("x@example.com", {"x@example\u3002com", "x@EXAMPLE.com", "x@example\uff0ecom", "x@exam\u00adple.com",
                                 "x@exam\u2060ple.com"});
    expect_one("x@xn--bcher-kva.example",
               {"x@b\u00fccher.example", "x@B\u00dcCHER.example", "x@bu\u0308cher.example", "x@XN--BCHER-KVA.example"});
    expect_one("x@xn--strae-oqa.example", {"x@stra\u00dfe.example"}); // not strasse: IDNA 2008
}

TEST(Names, NothingInvisiblePasses) {
    for (const std::uint32_t each : {0x00a0, 0x00ad, 0x034f, 0x061c, 0x115f, 0x1160, 0x17b4,  0x180e,  0x2000, 0x200b,
                                     0x200c, 0x200d, 0x200e, 0x2028, 0x202e, 0x2060, 0x2063,  0x2066,  0x2069, 0x3000,
                                     0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0x1d173, 0xe0020, 0xe0100}) {
        const std::string invisible = character(each);
        expect_none({"a" + invisible + "b", invisible, "a" + invisible + "b@example.org"});
    }
    for (const int control : {1, 0x1f, 0x7f, 0x80, 0x9f})
        expect_none({"a" + character(static_cast<std::uint32_t>(control)) + "b"});
}

TEST(Names, NoSymbolsNorWhatLooksLikeOtherCharacters) {
    expect_none({"\u2764", "a\u2019b", "\ufb01ona", "a\u00b2", "\u2167", "a\u0640b", "\u0301a", "\ue000",
                 "\U0001f600@example.org"});
}

TEST(Names, SomeCharactersBelongBesideOthers) {
    expect_one("paral\u00b7lel", {});
    expect_one("\u30a2\u30fb\u30a2", {});
    expect_none({"a\u00b7b", "a\u30fbb", "\u0660\u06f0"});
}

TEST(Names, RightToLeftIsReadable) {
    expect_one("\u05d0\u05d1\u05d2", {});
    expect_one("\u05d0\u05d11", {});
    expect_none({"a\u05d0", "\u05d0a", "1\u05d0", "\u0661\u0662"});
}

TEST(Names, CapitalsAreKeptAndDoNotMatter) {
    EXPECT_EQ(normalize_name("Ann@Example.ORG"), "Ann@example.org");
    EXPECT_EQ(name_key("Ann@Example.ORG"), "ann@example.org");
    EXPECT_EQ(name_key("JOSE\u0301"), "jos\u00e9");
    EXPECT_EQ(name_key("\u0130stanbul"), name_key("\u0130STANBUL"));
    EXPECT_NE(name_key("stra\u00dfe"), name_key("strasse")); // RFC 8265: small letters, not case folding
}

TEST(Names, WhatIsStoredStaysWhatItIs) {
    std::mt19937 random(20260110); // NOLINT(bugprone-random-generator-seed)
    const std::vector<std::uint32_t> alphabet = {'a',    'B',    '.',    '@',    '-',     0xe9,   0x301,  0xdf,
                                                 0x130,  0x3a3,  0x430,  0x5d0,  0x5b0,   0x661,  0xff20, 0xff21,
                                                 0x3002, 0xac00, 0x1100, 0x200d, 0x10400, 0x1f600};
    int names = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string text;
        for (std::size_t n = 1 + random() % 8; n > 0; --n) text += character(alphabet[random() % alphabet.size()]);
        const auto stored = normalize_name(text), key = name_key(text);
        ASSERT_EQ(stored.has_value(), key.has_value()) << text;
        if (!stored) continue;
        ++names;
        ASSERT_TRUE(is_valid_utf8(*stored));
        ASSERT_EQ(normalize_name(*stored), stored) << text;
        ASSERT_EQ(name_key(*stored), key) << text;
        ASSERT_EQ(name_key(*key), key) << text;
    }
    EXPECT_GT(names, 200);
}

} // namespace
} // namespace usher
