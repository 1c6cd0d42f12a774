// Key sets of outside issuers: which keys are kept, which are refused, and which one a token gets.
#include "common/error.hpp"
#include "common/jwks.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher;
using enum JwtAlgorithm;

const JwtKey &pair(JwtAlgorithm algorithm) {
    static const JwtKey rsa = JwtKey::generate(rs256), ec = JwtKey::generate(es256), ed = JwtKey::generate(eddsa);
    return algorithm == rs256 ? rsa : algorithm == es256 ? ec : ed;
}

/// The public JWK with another text in it: without alg, say.
std::string jwk(JwtAlgorithm algorithm, std::string_view kid, std::string_view from = {}, std::string_view to = {}) {
    std::string text = pair(algorithm).public_jwk(kid);
    if (!from.empty()) text.replace(text.find(from), from.size(), to);
    return text;
}

std::string set_of(const std::vector<std::string> &keys) {
    std::string text = R"({"keys":[)";
    for (const std::string &key : keys) text += (text.back() == '[' ? "" : ",") + key;
    return text + "]}";
}

constexpr JwtAlgorithm usual[] = {rs256, es256};

std::string refusal(const std::string &document, std::span<const JwtAlgorithm> algorithms = usual) {
    try {
        KeySet::parse(document, algorithms);
    } catch (const Error &error) {
        EXPECT_EQ(error.sqlstate(), "22023");
        return error.what();
    }
    return {};
}

TEST(KeySets, GiveTheKeyOfTheToken) {
    const KeySet set = KeySet::parse(set_of({jwk(rs256, "a"), jwk(es256, "b")}), usual);
    EXPECT_EQ(set.size(), 2U);
    const KeySet::Choice rsa = set.choose("a", "RS256");
    ASSERT_NE(rsa.key, nullptr);
    EXPECT_TRUE(rsa.key->verify("message", pair(rs256).sign("message")));
    EXPECT_FALSE(rsa.key->can_sign());
    EXPECT_NE(set.choose("b", "ES256").key, nullptr);
    EXPECT_STREQ(set.choose("a", "ES256").error, "wrong_algorithm");
    EXPECT_STREQ(set.choose("a", "HS256").error, "wrong_algorithm");
    EXPECT_STREQ(set.choose("a", "none").error, "wrong_algorithm");
    EXPECT_STREQ(set.choose("c", "RS256").error, "unknown_key");
}

TEST(KeySets, GiveTokensWithoutKidTheOnlyKeyThereIs) {
    const KeySet one = KeySet::parse(set_of({jwk(rs256, "a"), jwk(es256, "b")}), usual);
    EXPECT_EQ(one.choose("", "RS256").key, one.choose("a", "RS256").key);
    EXPECT_STREQ(one.choose("", "EdDSA").error, "wrong_algorithm");
    const KeySet two = KeySet::parse(set_of({jwk(rs256, "a"), jwk(rs256, "b")}), usual);
    EXPECT_STREQ(two.choose("", "RS256").error, "unknown_key");
    EXPECT_EQ(two.choose("", "RS256").key, nullptr);
    EXPECT_NE(two.choose("b", "RS256").key, nullptr);
}

TEST(KeySets, KeepRsaKeysWithoutAlgForWhatIsAllowed) {
    const std::string bare = jwk(rs256, "a", R"("alg":"RS256",)");
    EXPECT_EQ(KeySet::parse(set_of({bare}), usual).size(), 1U);
    constexpr JwtAlgorithm both[] = {rs256, ps256};
    const KeySet set = KeySet::parse(set_of({bare}), both);
    EXPECT_EQ(set.size(), 2U);
    EXPECT_NE(set.choose("a", "PS256").key, nullptr);
    EXPECT_NE(set.choose("a", "RS256").key, nullptr);
    // with alg there is no choice
    EXPECT_STREQ(KeySet::parse(set_of({jwk(rs256, "a")}), both).choose("a", "PS256").error, "wrong_algorithm");
    EXPECT_EQ(KeySet::parse(set_of({jwk(es256, "b", R"("alg":"ES256",)")}), usual).size(), 1U);
}

TEST(KeySets, PassOverWhatIsNotForSignaturesOrUnknown) {
    const std::string good = jwk(es256, "good");
    for (const std::string &other :
         {jwk(rs256, "a", R"("use":"sig")", R"("use":"enc")"),
          jwk(rs256, "a", R"("use":"sig")", R"("key_ops":["sign"])"), jwk(eddsa, "a"),
          jwk(rs256, "a", "RS256", "RSA-OAEP"), std::string(R"({"kty":"future","kid":"a"})"),
          std::string(R"({"kty":"EC","crv":"secp256k1","kid":"a","x":"AA","y":"AA"})"), std::string("{}"),
          // damaged, or too weak
          std::string(R"({"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"})"),
          std::string(R"({"kty":"RSA","alg":"RS256","kid":"a","n":"AQAB","e":"AQAB"})"),
          std::string(R"({"kty":"RSA","alg":"RS256","kid":"a","n":"AQAB"})"),
          jwk(rs256, "a", R"("e":"AQAB")", R"("e":"AQ")"),
          jwk(es256, "a", R"("use":"sig")", R"("key_ops":["verify","verify"])"),
          jwk(es256, "a", R"("kty":"EC")", R"("kty":7)")}) {
        const KeySet set = KeySet::parse(set_of({other, good}), usual);
        EXPECT_EQ(set.size(), 1U) << other;
        EXPECT_NE(set.choose("good", "ES256").key, nullptr);
    }
    EXPECT_EQ(KeySet::parse(set_of({jwk(es256, "a", R"("use":"sig")", R"("key_ops":["verify"])")}), usual).size(), 1U);
}

TEST(KeySets, AreRefused) {
    EXPECT_EQ(refusal("{"), "key set is not valid JSON: expected a key at byte 2");
    for (const char *text : {"[]", "{}", "null", R"({"keys":{}})", R"({"keys":null})"})
        EXPECT_EQ(refusal(text), "key set must be a JSON object with an array \"keys\"") << text;
    EXPECT_EQ(refusal(set_of({})), "key set has no key for one of the algorithms");
    EXPECT_EQ(refusal(set_of({jwk(eddsa, "a")})), "key set has no key for one of the algorithms");
    EXPECT_EQ(refusal(set_of({"7"})), "key 1 of the key set is not a JSON object");
    EXPECT_EQ(refusal(set_of({R"({"kty":"oct","k":"AAAA"})"})),
              "key 1 of the key set is symmetric: whoever knows it could make tokens");
    EXPECT_EQ(refusal(set_of({jwk(es256, "a"), jwk(es256, "b", "{", R"({"d":"AAAA",)")})),
              "key 2 of the key set is a private key");
    EXPECT_EQ(refusal(set_of({jwk(es256, "a"), jwk(es256, "a")})), "key 2 of the key set has the kid of another one");
    EXPECT_EQ(
        refusal(set_of({R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})"})),
        "key set has no key for one of the algorithms: key 1 of the key set is not usable: member \"x\" of the JWK "
        "must have 32 bytes");
    EXPECT_EQ(
        refusal(set_of({R"({"kty":"RSA","alg":"RS256","n":"AQAB","e":"AQAB"})"})),
        "key set has no key for one of the algorithms: key 1 of the key set is not usable: RSA key has 17 bits, but at "
        "least 2048 are needed");
    EXPECT_EQ(refusal(set_of(std::vector<std::string>(101, "{}"))), "key set has more than 100 keys");
    EXPECT_EQ(refusal(set_of({"\"" + std::string(300000, 'x') + "\""})),
              "key set is not valid JSON: text longer than 262144 bytes");
}

} // namespace
