// Every entry of every table of algorithms works, and a name that is in none is refused.
#include "common/error.hpp"
#include "common/jwt.hpp"
#include "usher/identity/password.hpp"
#include "usher/identity/totp.hpp"
#include "usher/limits/ratelimit.hpp"
#include <gtest/gtest.h>
#include <set>

namespace {

using namespace usher;

TEST(JwtAlgorithms, EachSignsAndVerifiesWithAKeyThatItMade) {
    std::set<std::string_view> names;
    for (const JwtAlgorithm algorithm : jwt_algorithms()) {
        const std::string_view name = to_string(algorithm);
        EXPECT_TRUE(names.insert(name).second) << name;
        EXPECT_EQ(parse_jwt_algorithm(name), algorithm) << name;
        const JwtKey key = JwtKey::generate(algorithm);
        EXPECT_EQ(key.algorithm(), algorithm) << name;
        const std::string signature = key.sign("message");
        EXPECT_TRUE(key.verify("message", signature)) << name;
        EXPECT_FALSE(key.verify("another", signature)) << name;
        EXPECT_FALSE(key.verify("message", signature + 'x')) << name;
        EXPECT_FALSE(key.verify("message", "")) << name;
        EXPECT_TRUE(JwtKey::import_private(algorithm, key.export_private()).verify("message", signature)) << name;
        EXPECT_EQ(key.public_jwk("k").empty(), is_hmac(algorithm)) << name;
        if (!is_hmac(algorithm)) {
            const JwtKey read = JwtKey::from_jwk(key.public_jwk("k"));
            EXPECT_TRUE(read.verify("message", signature)) << name;
            EXPECT_FALSE(read.can_sign()) << name;
            EXPECT_EQ(read.thumbprint(), key.thumbprint()) << name;
        }
    }
}

bool is_rsa(JwtAlgorithm algorithm) { return algorithm == JwtAlgorithm::rs256 || algorithm == JwtAlgorithm::ps256; }

TEST(JwtAlgorithms, EachRefusesTheKeysOfTheOtherKinds) {
    for (const JwtAlgorithm maker : jwt_algorithms()) {
        const JwtKey key = JwtKey::generate(maker);
        for (const JwtAlgorithm reader : jwt_algorithms()) {
            if (is_hmac(maker) || is_hmac(reader)) continue; // secrets have no kind
            if (maker == reader || (is_rsa(maker) && is_rsa(reader)))
                EXPECT_NO_THROW((void)JwtKey::import_private(reader, key.export_private()));
            else
                EXPECT_THROW((void)JwtKey::import_private(reader, key.export_private()), Error)
                    << to_string(maker) << " as " << to_string(reader);
        }
    }
}

TEST(JwtAlgorithms, UnknownNamesAreRefused) {
    for (const char *name : {"", "none", "HS257", "hs256", "EdDSA ", "HS256\n"}) {
        EXPECT_EQ(parse_jwt_algorithm(name), std::nullopt) << name;
        EXPECT_THROW((void)JwtKey::from_jwk(std::string(R"({"kty":"oct","k":"AAAA","alg":")") + name + "\"}"), Error)
            << name;
    }
    EXPECT_EQ(jwt_algorithm_list(false), "ES256, ES384, ES512, RS256, PS256 or EdDSA");
}

TEST(PasswordSchemes, EachThatMakesHashesVerifiesThem) {
    const BcryptFunction bcrypt = [](std::string_view password, std::string_view setting) { // as long as the real one
        std::string digest(31, '.');
        for (std::size_t i = 0; i < password.size(); ++i)
            digest[i % 31] = static_cast<char>('a' + (digest[i % 31] + password[i]) % 26);
        return std::string(setting) + digest;
    };
    std::set<std::string_view> names;
    int makers = 0;
    for (const PasswordScheme scheme : password_schemes()) {
        EXPECT_TRUE(names.insert(to_string(scheme)).second) << to_string(scheme);
        const PasswordSettings settings{
            .scheme = scheme, .argon2_memory_kib = 64, .argon2_iterations = 1, .bcrypt_rounds = 4};
        if (!makes_new_hashes(scheme)) {
            EXPECT_THROW((void)hash_password("correct horse", settings, bcrypt), Error) << to_string(scheme);
            continue;
        }
        ++makers;
        const ParsedHash parsed = parse_password_hash(hash_password("correct horse", settings, bcrypt));
        ASSERT_TRUE(parsed) << to_string(scheme) << ": " << parsed.error;
        EXPECT_EQ(parsed.hash->scheme, scheme);
        EXPECT_TRUE(verify_password("correct horse", *parsed.hash, bcrypt)) << to_string(scheme);
        EXPECT_FALSE(verify_password("wrong horse", *parsed.hash, bcrypt)) << to_string(scheme);
        EXPECT_FALSE(needs_rehash(*parsed.hash, settings)) << to_string(scheme);
        EXPECT_EQ(dummy_password_hash(settings).scheme, scheme);
        EXPECT_TRUE(parse_password_hash(dummy_password_hash(settings).text)) << to_string(scheme);
    }
    EXPECT_EQ(makers, 2);
}

TEST(PasswordSchemes, UnknownKindsAreRefused) {
    for (const char *text : {"$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$2x$04$",
                             "md5$salt$digest", "argon2id", "$", "x"}) {
        const ParsedHash parsed = parse_password_hash(text);
        EXPECT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error, "password hash is of a kind that is not supported") << text;
    }
}

TEST(RateLimitAlgorithms, EachAllowsWhatThePolicyAllowsAndRefusesTheNext) {
    std::set<std::string_view> names;
    for (const ratelimit::Algorithm algorithm : ratelimit::all_algorithms()) {
        const std::string_view name = ratelimit::name_of(algorithm);
        EXPECT_TRUE(names.insert(name).second) << name;
        EXPECT_EQ(ratelimit::parse_algorithm(name), algorithm) << name;
        const ratelimit::Policy policy{algorithm, 3, 1'000'000, 0};
        ratelimit::State state;
        const Instant now = 1'000'000'000;
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(ratelimit::hit(policy, state, now, 1).allowed) << name;
        const ratelimit::Decision refused = ratelimit::hit(policy, state, now, 1);
        EXPECT_FALSE(refused.allowed) << name;
        EXPECT_TRUE(ratelimit::hit(policy, state, now + refused.retry_after_us, 1).allowed) << name;
    }
    for (const char *name : {"", "fixed", "Token_bucket", "leaky_bucket"})
        EXPECT_EQ(ratelimit::parse_algorithm(name), std::nullopt) << name;
}

TEST(TotpDigests, EachHasItsOwnCodesAndName) {
    std::set<std::string> codes, names;
    for (const TotpHash hash : totp_hashes()) {
        const TotpParameters parameters{hash, 8, 30};
        codes.insert(totp_code("12345678901234567890", 1, parameters));
        names.insert(totp_uri("12345678901234567890", "i", "a", parameters));
    }
    EXPECT_EQ(codes.size(), totp_hashes().size());
    EXPECT_EQ(names.size(), totp_hashes().size());
}

} // namespace
