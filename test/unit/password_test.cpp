// Password hashes (published vectors), their limits, and the policy for new passwords.
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "usher/identity/password.hpp"
#include <gtest/gtest.h>

#include <crypt.h>

namespace {

using namespace usher;

/// As pgcrypto's crypt(), from the C library, whose "$2y$" is what pgcrypto calls "$2a$".
std::string bcrypt(std::string_view password, std::string_view setting) {
    std::string correct(setting);
    correct.at(2) = 'y';
    crypt_data data{};
    const char *const hash = crypt_r(std::string(password).c_str(), correct.c_str(), &data);
    return hash == nullptr ? std::string() : hash;
}

bool matches(std::string_view password, std::string_view text) {
    const ParsedHash parsed = parse_password_hash(text);
    EXPECT_TRUE(parsed) << parsed.error;
    return parsed && verify_password(password, *parsed.hash, bcrypt);
}

std::string problem(std::string_view text) {
    const ParsedHash parsed = parse_password_hash(text);
    return parsed ? "none" : parsed.error;
}

std::string b64(std::string_view hex) { return base64_encode(*hex_decode(hex), Padding::none); }
std::string b64_text(std::string_view text) { return base64_encode(text, Padding::none); }

constexpr PasswordSettings quick{PasswordScheme::argon2id, 64, 1, 1, 4};
constexpr PasswordSettings quick_bcrypt{PasswordScheme::bcrypt, 64, 1, 1, 4};

// --- Published vectors --------------------------------------------------------------------------------------------

TEST(PasswordVectors, Argon2) { // the reference implementation's own tests (RFC 9106's use a secret, which hash strings
                                // have no place for)
    EXPECT_TRUE(
        matches("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"));
    EXPECT_TRUE(
        matches("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"));
    EXPECT_TRUE(
        matches("password", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8"));
    EXPECT_FALSE(
        matches("Password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"));
}

TEST(PasswordVectors, Rfc7914Scrypt) {
    EXPECT_TRUE(matches("password", "$scrypt$ln=10,r=8,p=16$" + b64_text("NaCl") + "$" +
                                        b64("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e"
                                            "22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640")));
    EXPECT_TRUE(matches("pleaseletmein", "$scrypt$ln=14,r=8,p=1$" + b64_text("SodiumChloride") + "$" +
                                             b64("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432"
                                                 "955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887")));
    EXPECT_TRUE(matches("password", "scrypt$NaCl$1024$8$16$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/"
                                    "xCSedmDDaxyevuUqD7m2DYMvfoswGQA=="));
}

TEST(PasswordVectors, Pbkdf2) { // RFC 7914 section 11; RFC 6070's cases with SHA-256 and SHA-512 as generally published
    EXPECT_TRUE(matches("passwd", "$pbkdf2-sha256$i=1,l=64$" + b64_text("salt") + "$" +
                                      b64("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179"
                                          "b645991664b39d77ef317c71b845b1e30bd509112041d3a19783")));
    EXPECT_TRUE(matches("Password", "$pbkdf2-sha256$i=80000,l=64$" + b64_text("NaCl") + "$" +
                                        b64("4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a122"
                                            "5833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d")));
    EXPECT_TRUE(matches("password", "$pbkdf2-sha256$i=4096,l=32$" + b64_text("salt") + "$" +
                                        b64("c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a")));
    EXPECT_TRUE(matches("password", "$pbkdf2-sha512$i=4096$" + b64_text("salt") + "$" +
                                        b64("d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5143f306026"
                                            "41b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5")));
    EXPECT_TRUE(matches(
        "password",
        "$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdew$/hzjypjXGy76eQJ.wq7Ru0Kv4648Yyn016wkJ6SXBIs")); // form of passlib
}

TEST(PasswordVectors, Bcrypt) { // crypt_blowfish and passlib
    EXPECT_TRUE(matches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    EXPECT_TRUE(matches("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    EXPECT_TRUE(matches("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    EXPECT_TRUE(matches("\xff\xff\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"));
    EXPECT_FALSE(matches("U*V", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    EXPECT_TRUE(
        matches("password", "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2"));
}

// --- New hashes ---------------------------------------------------------------------------------------------------

TEST(PasswordHashes, Argon2idIsSaltedAndVerifies) {
    const std::string hash = hash_password("correct horse", quick, bcrypt);
    EXPECT_EQ(hash.substr(0, 27), "$argon2id$v=19$m=64,t=1,p=1");
    EXPECT_NE(hash, hash_password("correct horse", quick, bcrypt));
    EXPECT_TRUE(matches("correct horse", hash));
    EXPECT_FALSE(matches("correct horsf", hash));
    EXPECT_FALSE(matches("", hash));
    EXPECT_TRUE(matches("", hash_password("", quick, bcrypt)));
}

TEST(PasswordHashes, BcryptNeverCutsAPassword) {
    const std::string longest(72, 'x');
    const std::string hash = hash_password(longest, quick_bcrypt, bcrypt);
    EXPECT_EQ(hash.substr(0, 7), "$2b$04$");
    EXPECT_TRUE(matches(longest, hash));
    EXPECT_FALSE(matches(longest + "y", hash)); // crypt() alone would say yes
    const std::string longer = hash_password(longest + "y", quick_bcrypt, bcrypt);
    EXPECT_EQ(longer.substr(0, 29), "$bcrypt-sha256$v=2,t=2b,r=4$" + longer.substr(28, 1));
    EXPECT_TRUE(matches(longest + "y", longer));
    EXPECT_FALSE(matches(longest + "z", longer));
    EXPECT_FALSE(matches(longest, longer));
}

TEST(PasswordHashes, RefusePasswordsOverTheLimit) {
    EXPECT_NO_THROW(hash_password(std::string(1024, 'x'), quick, bcrypt));
    EXPECT_THROW(hash_password(std::string(1025, 'x'), quick, bcrypt), Error);
    EXPECT_THROW(hash_password(std::string_view("a\0b", 3), quick, bcrypt), Error);
    EXPECT_FALSE(matches(std::string(1 << 20, 'x'), hash_password("x", quick, bcrypt)));
    // What can never be right is evaluated as an empty password, which it still is not.
    EXPECT_FALSE(matches(std::string(1025, 'x'), hash_password("", quick, bcrypt)));
}

TEST(PasswordHashes, RefuseSettingsOutOfRange) {
    for (PasswordSettings bad :
         {PasswordSettings{.argon2_memory_kib = 4}, PasswordSettings{.argon2_iterations = 0},
          PasswordSettings{.argon2_parallelism = 0}, PasswordSettings{.argon2_memory_kib = 2000000},
          PasswordSettings{.scheme = PasswordScheme::bcrypt, .bcrypt_rounds = 16},
          PasswordSettings{.scheme = PasswordScheme::scrypt}})
        EXPECT_THROW(hash_password("x", bad, bcrypt), Error);
    EXPECT_THROW(hash_password("x", quick_bcrypt, {}), Error);
}

TEST(PasswordHashes, DummyHasTheCostOfTodayAndMatchesNothing) {
    for (const PasswordSettings &settings : {quick, quick_bcrypt}) {
        const PasswordHash dummy = dummy_password_hash(settings);
        EXPECT_FALSE(needs_rehash(dummy, settings));
        EXPECT_EQ(problem(dummy.text), "none");
        EXPECT_FALSE(verify_password("", dummy, bcrypt));
        EXPECT_FALSE(verify_password("password", dummy, bcrypt));
    }
}

TEST(PasswordHashes, NeedRehashWhenForeignOrWeaker) {
    const auto stale = [](std::string_view text, const PasswordSettings &settings) {
        return needs_rehash(*parse_password_hash(text).hash, settings);
    };
    const std::string id = hash_password("x", {PasswordScheme::argon2id, 128, 2, 1, 12}, bcrypt);
    EXPECT_FALSE(stale(id, {PasswordScheme::argon2id, 128, 2, 1, 12}));
    EXPECT_FALSE(stale(id, {PasswordScheme::argon2id, 64, 1, 1, 12}));
    EXPECT_TRUE(stale(id, {PasswordScheme::argon2id, 129, 2, 1, 12}));
    EXPECT_TRUE(stale(id, {PasswordScheme::argon2id, 128, 3, 1, 12}));
    EXPECT_TRUE(stale(id, {PasswordScheme::bcrypt, 128, 2, 1, 12}));
    const char *const crypt12 = "$2a$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    EXPECT_FALSE(stale(crypt12, {PasswordScheme::bcrypt, 64, 1, 1, 12}));
    EXPECT_TRUE(stale(crypt12, {PasswordScheme::bcrypt, 64, 1, 1, 13}));
    EXPECT_TRUE(stale(crypt12, {PasswordScheme::argon2id, 64, 1, 1, 12}));
}

// --- Hash strings that are refused --------------------------------------------------------------------------------

TEST(PasswordHashStrings, EnforceCostCaps) {
    const std::string tail = "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    EXPECT_EQ(problem("$argon2id$v=19$m=1048577,t=2,p=1" + tail),
              "Argon2 memory in KiB of 1048577 is over the limit of 1048576");
    EXPECT_EQ(problem("$argon2id$v=19$m=256,t=21,p=1" + tail), "Argon2 iteration count of 21 is over the limit of 20");
    EXPECT_EQ(problem("$argon2i$v=19$m=256,t=2,p=17" + tail), "Argon2 parallelism of 17 is over the limit of 16");
    EXPECT_EQ(problem("$scrypt$ln=18,r=8,p=1" + tail), "scrypt log2(N) of 18 is over the limit of 17");
    EXPECT_EQ(problem("$scrypt$ln=17,r=32,p=16" + tail), "scrypt N*r*p of 67108864 is over the limit of 8388608");
    EXPECT_EQ(problem("scrypt$salt$262144$8$1$" + std::string(43, 'A') + "="),
              "scrypt log2(N) of 18 is over the limit of 17");
    EXPECT_EQ(problem("$pbkdf2-sha256$i=10000001" + tail),
              "PBKDF2 iteration count of 10000001 is over the limit of 10000000");
    EXPECT_EQ(problem("pbkdf2_sha512$10000001$salt$" + std::string(43, 'A') + "="),
              "PBKDF2 iteration count of 10000001 is over the limit of 10000000");
    EXPECT_EQ(problem("$2b$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
              "bcrypt round number of 16 is over the limit of 15");
    EXPECT_EQ(problem("$argon2id$v=19$m=99999999999,t=2,p=1" + tail), "malformed Argon2 hash");
}

TEST(PasswordHashStrings, RefuseWeakerThanTheAlgorithmsAllow) {
    const std::string tail = "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    EXPECT_EQ(problem("$argon2id$v=19$m=256,t=0,p=1" + tail), "Argon2 hash with a parameter below the minimum");
    EXPECT_EQ(problem("$argon2id$v=19$m=7,t=1,p=1" + tail), "Argon2 hash with a parameter below the minimum");
    EXPECT_EQ(problem("$argon2id$v=16$m=256,t=2,p=1" + tail), "Argon2 hash of a version that is not supported");
    EXPECT_EQ(problem("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAA"), "password hash has a digest of 3 bytes");
    EXPECT_EQ(problem("$pbkdf2-sha256$i=0" + tail), "PBKDF2 hash with a parameter below the minimum");
    EXPECT_EQ(problem("$pbkdf2-sha256$i=1$$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
              "password hash has a salt of 0 bytes");
    EXPECT_EQ(problem("$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
              "bcrypt hash with a parameter below the minimum");
    EXPECT_EQ(problem("$scrypt$ln=0,r=8,p=1" + tail), "scrypt hash with a parameter below the minimum");
}

TEST(PasswordHashStrings, RefuseMalformedText) {
    EXPECT_EQ(problem(""), "password hash is empty");
    EXPECT_EQ(problem(std::string(513, '$')), "password hash is longer than 512 bytes");
    EXPECT_EQ(problem("plain text"), "password hash is of a kind that is not supported");
    EXPECT_EQ(problem("$1$salt$digest"), "password hash is of a kind that is not supported");
    EXPECT_EQ(problem("$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
              "password hash is of a kind that is not supported");
    EXPECT_EQ(problem("$2b$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), "malformed bcrypt hash");
    EXPECT_EQ(problem("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe"), "malformed bcrypt hash");
    EXPECT_EQ(problem("$2b$05$CCCCCCCCCCCCCCCCCCCCC+E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), "malformed bcrypt hash");
    EXPECT_EQ(problem("$argon2id$m=256,t=2,p=1$c29tZXNhbHQ$nf65"), "malformed Argon2 hash");
    EXPECT_EQ(problem("$argon2id$v=19$t=2,m=256,p=1$c29tZXNhbHQ$nf65"), "malformed Argon2 hash");
    EXPECT_EQ(problem("$argon2id$v=19$m=0256,t=2,p=1$c29tZXNhbHQ$nf65"), "malformed Argon2 hash");
    EXPECT_EQ(problem("$argon2id$v=19$m=-1,t=2,p=1$c29tZXNhbHQ$nf65"), "malformed Argon2 hash");
    EXPECT_EQ(problem("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ=$nf65"), "malformed Argon2 hash");
    EXPECT_EQ(problem("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65$x"), "malformed Argon2 hash");
    EXPECT_EQ(problem("$scrypt$r=8,ln=14,p=1$c29tZXNhbHQ$nf65"), "malformed scrypt hash");
    EXPECT_EQ(problem("scrypt$salt$1000$8$1$AAAA"), "malformed scrypt hash"); // no power of two
    EXPECT_EQ(problem("$pbkdf2-sha256$i=1,l=5$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
              "malformed PBKDF2 hash");
    EXPECT_EQ(problem("$bcrypt-sha256$v=1,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2"),
              "malformed bcrypt-sha256 hash");
}

TEST(PasswordHashStrings, AcceptTheFormsOfDjango) {
    EXPECT_TRUE(matches("password",
                        "argon2$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"));
    EXPECT_TRUE(matches("U*U", "bcrypt$$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    EXPECT_TRUE(matches("password", "pbkdf2_sha256$4096$salt$" +
                                        base64_encode(*hex_decode(
                                            "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"))));
}

// --- Policy -------------------------------------------------------------------------------------------------------

const char *policy(std::string_view password, const PasswordOwner &owner = {}, std::size_t min_length = 15) {
    const char *const code = check_password_policy(password, {min_length, true}, owner);
    return code == nullptr ? "ok" : code;
}

TEST(PasswordPolicy, CountsCharactersNotBytes) {
    EXPECT_STREQ(policy("gl\xc3\xbc\x68wurmpfad 7"), "password_too_short"); // 14
    EXPECT_STREQ(policy("gl\xc3\xbc\x68wurmpfad 47"), "ok");                // 15
    EXPECT_STREQ(policy(""), "password_too_short");
    EXPECT_STREQ(policy(std::string(1025, 'x')), "password_too_long");
    EXPECT_STREQ(policy("not utf-8 \xff\xff\xff\xff\xff\xff"), "password_invalid");
    EXPECT_STREQ(policy(std::string_view("zero\0byte inside it", 19)), "password_invalid");
    EXPECT_STREQ(policy("wild tulip 4711", {}, 8), "ok");
}

TEST(PasswordPolicy, RefusesWhatTheOwnerIsCalled) {
    const PasswordOwner owner{"maria.schneider@example.com", "mariaschneider99", "Maria Elisabeth", "Schneider"};
    for (const char *password :
         {"Maria.Schneider@Example.com", "maria.schneider", "MariaSchneider99", "maria elisabeth",
          "Maria ElisabethSchneider", "maria elisabeth schneider", "schneider.maria elisabeth"})
        EXPECT_STREQ(policy(password, owner, 8), "password_matches_identity") << password;
    EXPECT_STREQ(policy("maria elisabeth schneider rides", owner), "ok");
    EXPECT_STREQ(policy("wild tulip 4711", {}, 8), "ok"); // nothing known about the owner
}

TEST(PasswordPolicy, RefusesCommonPasswords) {
    for (const char *password :
         {"password", "Password1!", "P4ssw0rd2024", "passwordpassword", "letmeinletmeinletmein", "aaaaaaaaaaaaaaa",
          "abcabcabcabcabc", "123456789012345", "987654321", "qwertyuiopasdfghjkl", "1qaz2wsx3edc4rfv5tgb",
          "abcdefghijklmnop", "zyxwvutsrqponml", "iloveyouforever", "correcthorsebatterystaple", "thisismypassword1",
          "sunshine20241231", "aaabbbcccdddeee", "!!!!!!!!!!!!!!!!"})
        EXPECT_TRUE(is_common_password(password)) << password;
}

TEST(PasswordPolicy, LeavesOtherPasswordsAlone) {
    for (const char *password :
         {"wild tulip 4711", "seven blue tractors", "purple-monkey-dishwasher", "k7#Vq9!mZ2$xL4pd",
          "my sunshine in october", "passwordless future", "Fahrrad am Fluss 3"})
        EXPECT_FALSE(is_common_password(password)) << password;
}

} // namespace
