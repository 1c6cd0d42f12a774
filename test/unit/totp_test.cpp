// TOTP against the vectors of RFC 6238 appendix B and of RFC 4226 appendix D, base32 against RFC 4648 section 10.
#include "common/base32.hpp"
#include "usher/identity/totp.hpp"
#include <cstdlib>
#include <gtest/gtest.h>
#include <set>

using namespace usher;

namespace {
const std::string seed20 = "12345678901234567890";
const std::string seed32 = "12345678901234567890123456789012";
const std::string seed64 = "1234567890123456789012345678901234567890123456789012345678901234";

int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a';
    if (c >= '2' && c <= '7') return c - '2' + 26;
    return -1;
}

/// As authenticator applications read a secret: both cases, and no length, character or unused bit that
/// base32_encode() does not write.
std::optional<std::string> base32_decode(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size() * 5 / 8);
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const char c : text) {
        const int value = value_of(c);
        if (value < 0) return std::nullopt;
        buffer = buffer << 5 | static_cast<std::uint32_t>(value);
        if ((bits += 5) < 8) continue;
        bits -= 8;
        bytes += static_cast<char>(buffer >> bits & 0xff);
    }
    // A whole unused character, or bits that say something else than zero: another text would have the same bytes.
    if (bits >= 5 || (buffer & ((1U << bits) - 1)) != 0) return std::nullopt;
    return bytes;
}
} // namespace

TEST(Totp, VectorsOfRfc6238AppendixB) {
    struct Vector {
        std::int64_t seconds;
        const char *sha1, *sha256, *sha512;
    };
    constexpr Vector vectors[] = {
        {59, "94287082", "46119246", "90693936"},         {1111111109, "07081804", "68084774", "25091201"},
        {1111111111, "14050471", "67062674", "99943326"}, {1234567890, "89005924", "91819424", "93441116"},
        {2000000000, "69279037", "90698825", "38618901"}, {20000000000, "65353130", "77737706", "47863826"},
    };
    for (const Vector &vector : vectors) {
        const TotpParameters sha1{TotpHash::sha1, 8, 30}, sha256{TotpHash::sha256, 8, 30},
            sha512{TotpHash::sha512, 8, 30};
        EXPECT_EQ(totp_code(seed20, totp_step(vector.seconds), sha1), vector.sha1) << vector.seconds;
        EXPECT_EQ(totp_code(seed32, totp_step(vector.seconds), sha256), vector.sha256) << vector.seconds;
        EXPECT_EQ(totp_code(seed64, totp_step(vector.seconds), sha512), vector.sha512) << vector.seconds;
    }
}

TEST(Totp, VectorsOfRfc4226AppendixD) {
    constexpr const char *codes[] = {"755224", "287082", "359152", "969429", "338314",
                                     "254676", "287922", "162583", "399871", "520489"};
    for (std::int64_t step = 0; step < 10; ++step) EXPECT_EQ(totp_code(seed20, step), codes[step]);
}

TEST(Totp, TheWindowIsCountedInStepsOnBothSides) {
    constexpr std::int64_t now = 1234567890;
    for (int away = -3; away <= 3; ++away) {
        const std::string code = totp_code(seed20, totp_step(now) + away);
        for (int window = 0; window <= 3; ++window) {
            const TotpMatch match = match_totp(seed20, code, now, window, -1);
            EXPECT_EQ(match.step.has_value(), std::abs(away) <= window) << away << " in a window of " << window;
            EXPECT_EQ(match.step.value_or(totp_step(now) + away), totp_step(now) + away);
            EXPECT_FALSE(match.reused);
        }
    }
}

TEST(Totp, AStepIsUsedOnce) {
    constexpr std::int64_t now = 1234567890;
    const std::int64_t step = totp_step(now);
    const std::string code = totp_code(seed20, step);
    EXPECT_TRUE(match_totp(seed20, code, now, 1, step - 1).step);
    const TotpMatch again = match_totp(seed20, code, now, 1, step);
    EXPECT_FALSE(again.step);
    EXPECT_TRUE(again.reused);
    // a code of before the used step is no better
    EXPECT_FALSE(match_totp(seed20, totp_code(seed20, step - 1), now, 1, step).step);
    const TotpMatch wrong = match_totp(seed20, "000000", now, 1, step);
    EXPECT_FALSE(wrong.step);
    EXPECT_FALSE(wrong.reused);
}

TEST(Totp, NoStepLiesBeforeTheEpoch) {
    EXPECT_FALSE(match_totp(seed20, totp_code(seed20, -1), 0, 1, -5).step);
    EXPECT_TRUE(match_totp(seed20, totp_code(seed20, 0), 0, 1, -5).step);
}

TEST(Totp, TheUriEscapesWhatIsNotPlain) {
    EXPECT_EQ(totp_uri(seed20, "Car Wash & Co", "ann+1@example.com"),
              "otpauth://totp/Car%20Wash%20%26%20Co:ann%2B1%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
              "&issuer=Car%20Wash%20%26%20Co&algorithm=SHA1&digits=6&period=30");
    EXPECT_NE(totp_uri(seed20, "\xc3\xa9", "a").find("otpauth://totp/%C3%A9:a?"), std::string::npos);
}

TEST(Base32, VectorsOfRfc4648) {
    constexpr std::pair<const char *, const char *> vectors[] = {
        {"", ""},
        {"f", "MY"},
        {"fo", "MZXQ"},
        {"foo", "MZXW6"},
        {"foob", "MZXW6YQ"},
        {"fooba", "MZXW6YTB"},
        {"foobar", "MZXW6YTBOI"},
    };
    for (const auto &[bytes, text] : vectors) {
        EXPECT_EQ(base32_encode(bytes), text);
        EXPECT_EQ(base32_decode(text), std::string(bytes));
    }
    EXPECT_EQ(base32_decode("mzxw6ytboi"), "foobar");
}

TEST(Base32, OneByteStringHasOneText) {
    for (const char *text : {"M", "MZX", "MZXW6Y", "MZ", "MZXW6YR", "MY======", "M0", "M1", "M 8", "m-y"})
        EXPECT_FALSE(base32_decode(text)) << text;
}

TEST(RecoveryCodes, AreReadAsPeopleTypeThem) {
    const std::string code = make_recovery_code();
    ASSERT_EQ(code.size(), 19U);
    const auto normal = normal_recovery_code(code);
    ASSERT_TRUE(normal);
    EXPECT_EQ(normal->size(), 16U);
    std::string shouted;
    for (const char c : code) shouted += c == '-' ? ' ' : static_cast<char>(std::toupper(c));
    EXPECT_EQ(normal_recovery_code(" " + shouted), normal);
    for (const char *text :
         {"", "aaaa-aaaa-aaaa-aaa", "aaaa-aaaa-aaaa-aaaaa", "aaaa-aaaa-aaaa-aaa1", "aaaaaaaaaaaaaaa\n"})
        EXPECT_FALSE(normal_recovery_code(text)) << text;
    std::set<std::string> codes;
    for (int i = 0; i < 100; ++i) codes.insert(make_recovery_code());
    EXPECT_EQ(codes.size(), 100U);
}

TEST(Digits, SpacesAreNotPartOfACode) {
    EXPECT_EQ(normal_digits("123 456", 6), "123456");
    for (const char *text : {"", "12345", "1234567", "12345a", "-12345", "12345\n"})
        EXPECT_FALSE(normal_digits(text, 6)) << text;
}
