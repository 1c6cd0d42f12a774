// base64url, base64, hexadecimal, UTF-8, digests, uuids made of them, and random numbers.
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/hmac.hpp"
#include "common/random.hpp"
#include "common/text.hpp"
#include "common/types.hpp"
#include "common/utf8.hpp"
#include <gtest/gtest.h>

#include <set>

namespace {

using namespace usher;

TEST(Base64Url, EncodesTheVectorsOfRfc4648WithoutPadding) {
    EXPECT_EQ(base64url_encode(""), "");
    EXPECT_EQ(base64url_encode("f"), "Zg");
    EXPECT_EQ(base64url_encode("fo"), "Zm8");
    EXPECT_EQ(base64url_encode("foo"), "Zm9v");
    EXPECT_EQ(base64url_encode("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64url_encode("\xff\xef\xbf"), "_--_");
}

TEST(Base64Url, DecodesTheExampleOfRfc7515AppendixC) {
    EXPECT_EQ(base64url_decode("A-z_4ME"), std::string("\x03\xec\xff\xe0\xc1"));
}

TEST(Base64Url, RefusesEverythingButTheCanonicalForm) {
    EXPECT_FALSE(base64url_decode("Zg=="));  // padding
    EXPECT_FALSE(base64url_decode("Zh"));    // unused bits
    EXPECT_FALSE(base64url_decode("Zm9"));   // unused bits
    EXPECT_FALSE(base64url_decode("Z"));     // no whole byte
    EXPECT_FALSE(base64url_decode("Zm9vY")); // no whole byte
    EXPECT_FALSE(base64url_decode("Zm 9v"));
    EXPECT_FALSE(base64url_decode("Zm9v\n"));
    EXPECT_FALSE(base64url_decode("+/+/"));
    EXPECT_FALSE(base64url_decode(std::string_view("Zm\0v", 4)));
    EXPECT_FALSE(base64url_decode("\xc3\xa4\xc3\xa4"));
    EXPECT_EQ(base64url_decode(""), std::string());
}

TEST(Base64Url, GivesBackEveryByteString) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
        EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
        bytes += static_cast<char>(i);
    }
}

TEST(Base64, KnowsBothKindsOfPadding) {
    EXPECT_EQ(base64_encode("fo"), "Zm8=");
    EXPECT_EQ(base64_encode("fo", Padding::none), "Zm8");
    EXPECT_EQ(base64_decode("Zm8="), std::string("fo"));
    EXPECT_EQ(base64_decode("Zg=="), std::string("f"));
    EXPECT_EQ(base64_decode("Zm8", Padding::none), std::string("fo"));
    EXPECT_FALSE(base64_decode("Zm8"));
    EXPECT_FALSE(base64_decode("Zm8=", Padding::none));
    EXPECT_FALSE(base64_decode("Zg=="
                               "Zg=="));
    EXPECT_FALSE(base64_decode("Z==="));
    EXPECT_FALSE(base64_decode("===="));
    EXPECT_FALSE(base64_decode("_--_"));
}

TEST(Hex, GoesBothWays) {
    EXPECT_EQ(hex_encode(std::string_view("\x00\xfa\x10", 3)), "00fa10");
    EXPECT_EQ(hex_decode("00Fa10"), std::string("\x00\xfa\x10", 3));
    EXPECT_FALSE(hex_decode("0"));
    EXPECT_FALSE(hex_decode("0g"));
}

TEST(Utf8, AcceptsEveryLengthAtItsEnds) {
    for (const char *text :
         {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
          "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "plain ASCII, long enough for whole words \xc3\xa4"})
        EXPECT_TRUE(is_valid_utf8(text)) << text;
}

TEST(Utf8, RefusesWhatRfc3629Forbids) {
    for (const char *text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80",
                             "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                             "\xff", "eight ASCII and then \xfe", "\xf0\x90\x80"})
        EXPECT_FALSE(is_valid_utf8(text));
}

TEST(Utf8, CountsCharacters) { EXPECT_EQ(utf8_length("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x97"), 4U); }

TEST(Utf8, AppendsCodePoints) {
    std::string out;
    for (const std::uint32_t c : {0x41U, 0xe4U, 0x20acU, 0x1f697U}) append_utf8(out, c);
    EXPECT_EQ(out, "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x97");
}

TEST(Digest, ComputesSha256) { // FIPS 180-4 examples
    EXPECT_EQ(hex_encode(sha256_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex_encode(sha256_bytes("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, ComputesHmac) { // RFC 4231 test case 2
    EXPECT_EQ(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Digest, ComparesWholeTexts) {
    EXPECT_TRUE(constant_time_equal("", ""));
    EXPECT_TRUE(constant_time_equal("abc", "abc"));
    EXPECT_FALSE(constant_time_equal("abc", "abd"));
    EXPECT_FALSE(constant_time_equal("abc", "abcd"));
}

TEST(Random, NeverRepeatsATokenOf43Characters) {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(random_token());
    EXPECT_EQ(seen.size(), 1000U);
    EXPECT_EQ(seen.begin()->size(), 43U);
}

TEST(Random, StaysBelowItsBound) {
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(random_below(7));
    EXPECT_EQ(seen.size(), 7U);
    EXPECT_EQ(*seen.rbegin(), 6U);
    EXPECT_THROW(random_below(0), Error);
    EXPECT_EQ(random_digits(6).find_first_not_of("0123456789"), std::string::npos);
    EXPECT_EQ(random_digits(6).size(), 6U);
}

TEST(Uuid, MadeOfADigestIsThatOfRfc9562AppendixB2) {
    const std::string dns("\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8", 16);
    EXPECT_EQ(to_string(make_uuid_v8(sha256(dns + "www.example.com"))), "5c146b14-3c52-8afd-938a-375d0df1fbf6");
}

TEST(Clip, EndsBetweenTwoCharacters) {
    EXPECT_EQ(clip("abc", 3), "abc");
    EXPECT_EQ(clip("abcd", 3), "abc");
    EXPECT_EQ(clip("", 0), "");
    EXPECT_EQ(clip("\xc3\xa9", 1), "");
    EXPECT_EQ(clip("a\xc3\xa9", 2), "a");
    EXPECT_EQ(clip("a\xc3\xa9x", 3), "a\xc3\xa9");
    std::string text;
    for (int i = 0; i < 50; ++i) text += "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    for (std::size_t bytes = 0; bytes <= text.size(); ++bytes) {
        const std::string_view part = clip(text, bytes);
        EXPECT_TRUE(is_valid_utf8(part)) << bytes;
        EXPECT_LE(part.size(), bytes);
        EXPECT_GT(part.size() + 4, bytes);
    }
    EXPECT_EQ(clip(std::string(10, '\x80'), 5).size(), 2U); // no UTF-8: somewhere
}

} // namespace

namespace {
using namespace usher;

TEST(Hex, DigitsAreReadInBothCasesAndWrittenInLower) {
    for (int i = 0; i < 256; ++i) {
        std::string digits;
        append_hex(digits, static_cast<char>(i));
        EXPECT_EQ(hex_value(digits[0]) * 16 + hex_value(digits[1]), i);
        EXPECT_TRUE(is_lower_hex(digits));
        EXPECT_EQ(hex_encode(std::string(1, static_cast<char>(i))), digits);
    }
    EXPECT_EQ(hex_value('F'), 15);
    EXPECT_EQ(hex_value('g'), -1);
    EXPECT_FALSE(is_lower_hex("0A"));
    EXPECT_FALSE(is_lower_hex("0x"));
}

TEST(PercentEncoding, ComesBackForEveryByte) {
    for (int i = 0; i < 256; ++i) {
        std::string text = "a";
        append_percent_encoded(text, static_cast<char>(i));
        EXPECT_EQ(text.size(), 4u);
        EXPECT_EQ(percent_decoded(text, 1), i);
    }
    EXPECT_EQ(percent_decoded("%2f", 0), '/');
    for (const char *broken : {"", "%", "%2", "%2g", "%g2", "2f%"}) EXPECT_EQ(percent_decoded(broken, 0), -1) << broken;
}

TEST(Trim, CutsBothEndsAndNothingWithin) {
    EXPECT_EQ(trim(" \t\r\n\v\fa b\n"), "a b");
    EXPECT_EQ(trim("\n a ", header_space), "\n a");
    EXPECT_EQ(trim(" \n "), "");
    EXPECT_EQ(trim(""), "");
}
} // namespace
