// JSON Web Tokens: published vectors (RFC 7515 A, RFC 8037 A, RFC 7638), every algorithm, and what must be refused.
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/jwt.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher;
using enum JwtAlgorithm;

constexpr std::int64_t second = 1000000;
constexpr std::int64_t now = 1700000000 * second;

const std::string rfc_payload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const char *const hs256_jwk =
    R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})";

const char *const rsa_jwk = R"({"kty":"RSA",
"n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
"e":"AQAB",
"d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
"p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
"q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
"dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
"dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
"qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"})";

const char *const p256_jwk = R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"})";

const char *const p521_jwk = R"({"kty":"EC","crv":"P-521",
"x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
"y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
"d":"AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C"})";

const char *const ed25519_jwk =
    R"({"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";

/// Verifies a token of the RFC at the time when it was valid.
JwtError verify(const std::string &text, const JwtKey &key, JwtRules rules = {}) {
    if (rules.now_us == 0) rules.now_us = 1300819379 * second;
    JwtToken token(text);
    return token.verify(key, rules);
}

// --- Published vectors ------------------------------------------------------------------------------------------

TEST(JwtVectors, Rfc7515A1Hs256) {
    const std::string token =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + rfc_payload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const JwtKey key = JwtKey::from_jwk(hs256_jwk, hs256);
    EXPECT_EQ(verify(token, key), JwtError::none);
    EXPECT_EQ(verify(token, key, {.now_us = 1300819380 * second}), JwtError::expired);
    JwtToken parsed(token);
    EXPECT_EQ(parsed.type(), "JWT");
    EXPECT_EQ(parsed.claims().find("iss")->as_string(), "joe");
    EXPECT_EQ(parsed.expires_us(), 1300819380 * second);
}

TEST(JwtVectors, Rfc7515A2Rs256) {
    const std::string signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"
                                  "lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdi"
                                  "uB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
                                  "xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2"
                                  "w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const std::string input = "eyJhbGciOiJSUzI1NiJ9." + rfc_payload;
    const JwtKey key = JwtKey::from_jwk(rsa_jwk, rs256);
    EXPECT_EQ(verify(input + '.' + signature, key), JwtError::none);
    EXPECT_EQ(base64url_encode(key.sign(input)), signature); // PKCS #1 v1.5 has one signature only
}

TEST(JwtVectors, Rfc7515A3Es256) {
    const std::string token = "eyJhbGciOiJFUzI1NiJ9." + rfc_payload +
                              ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    EXPECT_EQ(verify(token, JwtKey::from_jwk(p256_jwk, es256)), JwtError::none);
}

TEST(JwtVectors, Rfc7515A4Es512) { // its payload is no JSON: the signature alone
    const JwtKey key = JwtKey::from_jwk(p521_jwk, es512);
    const auto signature = base64url_decode(
        "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJ"
        "ZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn");
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key.verify("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA", *signature));
    EXPECT_FALSE(key.verify("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZQ", *signature));
}

TEST(JwtVectors, Rfc7515A5UnsecuredIsRefused) {
    const std::string token = "eyJhbGciOiJub25lIn0." + rfc_payload + ".";
    EXPECT_EQ(JwtToken(token).error(), JwtError::malformed);
    EXPECT_EQ(verify(token + "AA", JwtKey::from_jwk(hs256_jwk, hs256)), JwtError::wrong_algorithm);
    EXPECT_FALSE(parse_jwt_algorithm("none"));
}

TEST(JwtVectors, Rfc8037A4Ed25519) {
    const JwtKey key = JwtKey::from_jwk(ed25519_jwk, eddsa);
    const std::string input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const std::string signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    EXPECT_EQ(base64url_encode(key.sign(input)), signature);
    EXPECT_TRUE(key.verify(input, *base64url_decode(signature)));
}

TEST(JwtVectors, Thumbprints) {
    const char *const rfc7638 =
        R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"})";
    EXPECT_EQ(JwtKey::from_jwk(rfc7638).thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    EXPECT_EQ(JwtKey::from_jwk(ed25519_jwk, eddsa).thumbprint(),
              "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); // RFC 8037 A.3
}

// --- Every algorithm --------------------------------------------------------------------------------------------

class EveryAlgorithm : public testing::TestWithParam<JwtAlgorithm> {};

TEST_P(EveryAlgorithm, SignsAndVerifies) {
    const JwtKey key = JwtKey::generate(GetParam());
    const std::string token = sign_jwt(R"({"sub":"a","exp":1700000001})", key, "JWT", "k1");
    EXPECT_EQ(verify(token, key, {.now_us = now}), JwtError::none);
    EXPECT_EQ(JwtToken(token).algorithm_name(), to_string(GetParam()));
    EXPECT_EQ(JwtToken(token).kid(), "k1");
    EXPECT_EQ(verify(token, JwtKey::generate(GetParam()), {.now_us = now}), JwtError::invalid_signature);
}

TEST_P(EveryAlgorithm, NoticesEveryChangedCharacter) {
    const JwtKey key = JwtKey::generate(GetParam());
    const std::string token = sign_jwt(R"({"exp":1700000001})", key);
    const std::size_t step = token.size() > 400 ? 7 : 1; // RSA tokens are long
    for (std::size_t i = 0; i < token.size(); i += step) {
        std::string changed = token;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        EXPECT_NE(verify(changed, key, {.now_us = now}), JwtError::none) << i;
        changed.erase(i, 1);
        EXPECT_NE(verify(changed, key, {.now_us = now}), JwtError::none) << i;
    }
}

TEST_P(EveryAlgorithm, KeysSurviveExportAndImport) {
    const JwtKey key = JwtKey::generate(GetParam());
    const JwtKey same = JwtKey::import_private(GetParam(), key.export_private());
    EXPECT_TRUE(same.can_sign());
    EXPECT_EQ(same.thumbprint(), key.thumbprint());
    EXPECT_TRUE(key.verify("message", same.sign("message")));
    const std::string jwk = key.public_jwk("name");
    if (is_hmac(GetParam())) {
        EXPECT_EQ(jwk, "");
        return;
    }
    const JwtKey open = JwtKey::from_jwk(jwk);
    EXPECT_FALSE(open.can_sign());
    EXPECT_EQ(open.algorithm(), GetParam());
    EXPECT_EQ(open.thumbprint(), key.thumbprint());
    EXPECT_TRUE(open.verify("message", key.sign("message")));
    EXPECT_THROW(static_cast<void>(open.sign("message")), Error);
    EXPECT_THROW(static_cast<void>(open.export_private()), Error);
    json::Document document;
    ASSERT_TRUE(document.parse(jwk));
    EXPECT_EQ(document.root().find("kid")->as_string(), "name");
    EXPECT_FALSE(document.root().find("d"));
}

INSTANTIATE_TEST_SUITE_P(Jwt, EveryAlgorithm,
                         testing::Values(hs256, hs384, hs512, es256, es384, es512, rs256, ps256, eddsa),
                         [](const auto &test) { return std::string(to_string(test.param)); });

// --- Keys that are refused ----------------------------------------------------------------------------------------

std::string refusal(auto &&make) {
    try {
        make();
        return "accepted";
    } catch (const Error &e) {
        return e.sqlstate() + ": " + e.what();
    }
}

TEST(JwtKeys, NeedSecretsAsLongAsTheHash) {
    EXPECT_EQ(refusal([] { JwtKey::from_secret(hs256, std::string(31, 'k')); }),
              "22023: secret for HS256 has 31 bytes, but at least 32 are needed");
    EXPECT_EQ(refusal([] { JwtKey::from_secret(hs512, std::string(63, 'k')); }),
              "22023: secret for HS512 has 63 bytes, but at least 64 are needed");
    EXPECT_EQ(refusal([] { JwtKey::from_secret(hs384, std::string(48, 'k')); }), "accepted");
    EXPECT_EQ(refusal([] { JwtKey::from_secret(hs256, ""); }),
              "22023: secret for HS256 has 0 bytes, but at least 32 are needed");
    EXPECT_EQ(refusal([] { JwtKey::from_secret(hs256, std::string(100000, 'k')); }),
              "22023: secret for HS256 is longer than 65536 bytes");
    EXPECT_EQ(refusal([] { JwtKey::from_secret(es256, std::string(32, 'k')); }),
              "22023: algorithm ES256 needs a key pair, not a secret");
}

TEST(JwtKeys, MustBeOfTheKindOfTheirAlgorithm) {
    const std::string p256 = JwtKey::generate(es256).export_private();
    const std::string rsa = JwtKey::from_jwk(rsa_jwk, rs256).export_private();
    const std::string ed = JwtKey::generate(eddsa).export_private();
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(es384, p256); }), "22023: algorithm ES384 needs a key on curve P-384");
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(es256, rsa); }), "22023: algorithm ES256 needs a key on curve P-256");
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(rs256, p256); }), "22023: algorithm RS256 needs an RSA key");
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(ps256, ed); }), "22023: algorithm PS256 needs an RSA key");
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(eddsa, p256); }), "22023: algorithm EdDSA needs an Ed25519 key");
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(hs256, p256); }), "22023: algorithm HS256 needs a secret, not a key pair");
    EXPECT_EQ(refusal([&] { JwtKey::from_pem(ps256, rsa); }), "accepted");
}

TEST(JwtKeys, RefuseUnreadablePem) {
    EXPECT_EQ(refusal([] { JwtKey::from_pem(es256, ""); }), "22023: key is not a readable, unencrypted PEM key");
    EXPECT_EQ(
        refusal([] { JwtKey::from_pem(es256, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"); }),
        "22023: key is not a readable, unencrypted PEM key");
    EXPECT_EQ(refusal([] { JwtKey::from_pem(es256, std::string(1 << 20, 'A')); }),
              "22023: key is longer than 65536 bytes");
}

TEST(JwtKeys, RefuseBadJwk) {
    EXPECT_EQ(refusal([] { JwtKey::from_jwk("[]", es256); }), "22023: JWK must be a JSON object");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk("{", es256); }), "22023: JWK is not valid JSON: expected a key at byte 2");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(p256_jwk); }),
              "22023: JWK has no member \"alg\", and no algorithm was given");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"EC","alg":"ES256"})", es384); }),
              "22023: JWK is for algorithm ES256, not ES384");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"EC","alg":"none"})"); }),
              "22023: JWK names an algorithm that is not supported");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"EC","use":"enc"})", es256); }),
              "22023: JWK is not for signatures");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(p256_jwk, hs256); }), "22023: algorithm HS256 needs a JWK of type oct");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(p256_jwk, es384); }), "22023: algorithm ES384 needs a key on curve P-384");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})", es256); }),
              "22023: member \"x\" of the JWK must have 32 bytes");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"oct","k":5})", hs256); }),
              "22023: member \"k\" of the JWK must be a string");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"oct","k":"AA=="})", hs256); }),
              "22023: member \"k\" of the JWK is not base64url");
    EXPECT_EQ(refusal([] { JwtKey::from_jwk(R"({"kty":"RSA","n":"AQAB","e":"AQAB"})", rs256); }),
              "22023: RSA key has 17 bits, but at least 2048 are needed");
}

TEST(JwtKeys, DoWhatKeyOpsAllow) {
    const auto with = [](std::string_view jwk, const std::string &operations) {
        return std::string(jwk.substr(0, jwk.rfind('}'))) + ",\"key_ops\":" + operations + "}";
    };
    const std::string secret = R"({"kty":"oct","k":")" + base64url_encode(std::string(32, 'k')) + R"("})";
    for (const auto &[jwk, algorithm] : {std::pair(std::string(p256_jwk), es256), std::pair(secret, hs256)}) {
        const JwtKey all = JwtKey::from_jwk(with(jwk, R"(["verify","sign"])"), algorithm);
        const std::string signature = all.sign("message");
        EXPECT_TRUE(all.verify("message", signature));
        const JwtKey verifier = JwtKey::from_jwk(with(jwk, R"(["verify"])"), algorithm);
        EXPECT_FALSE(verifier.can_sign());
        EXPECT_TRUE(verifier.verify("message", signature));
        EXPECT_EQ(refusal([&] { static_cast<void>(verifier.sign("message")); }),
                  "22023: the key_ops of the key do not allow it to sign");
        const JwtKey signer = JwtKey::from_jwk(with(jwk, R"(["sign"])"), algorithm);
        EXPECT_TRUE(all.verify("message", signer.sign("message")));
        EXPECT_EQ(refusal([&] { static_cast<void>(signer.verify("message", signature)); }),
                  "22023: the key_ops of the key do not allow it to verify");
        for (const char *none : {"[]", R"(["encrypt","wrapKey"])"})
            EXPECT_EQ(refusal([&] { JwtKey::from_jwk(with(jwk, none), algorithm); }),
                      "22023: JWK is not for signatures");
        EXPECT_EQ(refusal([&] { JwtKey::from_jwk(with(jwk, R"("sign")"), algorithm); }),
                  "22023: member \"key_ops\" of the JWK must be a list of strings");
        EXPECT_EQ(refusal([&] { JwtKey::from_jwk(with(jwk, R"(["sign",1])"), algorithm); }),
                  "22023: member \"key_ops\" of the JWK must be a list of strings");
        EXPECT_EQ(refusal([&] { JwtKey::from_jwk(with(jwk, R"(["sign","sign"])"), algorithm); }),
                  "22023: member \"key_ops\" of the JWK has a value twice");
    }
}

// Two primes of the form k * M + (65537^a mod M), M the product of the first 126 primes: what the generator of
// CVE-2017-15361 makes.
constexpr const char *roca_jwk =
    R"({"kty":"RSA","e":"AQAB","n":")"
    "kCSyLJyaNU4ucMx_Pw6TGrVVk7-UKSJ2Pg3Tq8fhI-M_M6R0WSPOibs9Os-tSz3AnWF_FzyWkpq5ho04p4XwdDbyAEMwDTPvHeeN"
    "frCSJt2wyuYbem1_2iY1270P6RSH3_43Qnz9tu5pxMmhXSoh3CKPiLz1qWqH0yqWmuJYj1ZsLCl5No2zdGZf-6HvyErtObJEFn0F"
    "ekPj3I_UUf3C3uOZcJAKM1ysU4kJVbdbeZcvfhFFWHFY1UvEmRZxBMIBsY4Ak6IbF65GKfr8Msxmg3sMCKioO_xGP-ZKsXqA_OKq"
    "aTqxAOeGiJ4UiptASG9IK1g8xztyrSYZbY0PEySEhw"
    R"("})";

TEST(JwtKeys, RefuseModuliThatAreKnownToBeWeak) {
    for (const JwtAlgorithm algorithm : {rs256, ps256})
        EXPECT_EQ(
            refusal([&] { JwtKey::from_jwk(roca_jwk, algorithm); }),
            "22023: RSA key is of a generator whose keys can be computed from their public part (CVE-2017-15361)");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(refusal([] { JwtKey::generate(rs256); }), "accepted");
}

TEST(JwtKeys, RefusePointsOffTheCurveAndPairsThatDoNotMatch) {
    std::string off = p256_jwk; // another y
    off.replace(off.find("x_FE"), 4, "x_FF");
    EXPECT_EQ(refusal([&] { JwtKey::from_jwk(off, es256); }), "22023: JWK is not a valid key");
    std::string pair = p256_jwk; // another d
    pair.replace(pair.find("jpsQ"), 4, "jpsR");
    EXPECT_EQ(refusal([&] { JwtKey::from_jwk(pair, es256); }), "22023: key is not valid for algorithm ES256");
    std::string ed = ed25519_jwk;
    ed.replace(ed.find("nWGx"), 4, "nWGy");
    EXPECT_EQ(refusal([&] { JwtKey::from_jwk(ed, eddsa); }), "22023: JWK is not a valid key");
}

// --- Tokens that are refused --------------------------------------------------------------------------------------

class JwtForm : public testing::Test {
protected:
    const JwtKey key = JwtKey::from_secret(hs256, std::string(32, 'k'));

    std::string token(std::string_view header, std::string_view payload) const {
        const std::string input = base64url_encode(header) + '.' + base64url_encode(payload);
        return input + '.' + base64url_encode(key.sign(input));
    }
    JwtError check(std::string_view header, std::string_view payload,
                   JwtRules rules = {.now_us = now, .require_expiry = false}) const {
        return verify(token(header, payload), key, rules);
    }
    JwtError payload(std::string_view text, JwtRules rules = {.now_us = now, .require_expiry = false}) const {
        return check(R"({"alg":"HS256"})", text, rules);
    }
};

TEST_F(JwtForm, NeedsThreeCanonicalParts) {
    const std::string good = token(R"({"alg":"HS256"})", "{}");
    EXPECT_EQ(verify(good, key, {.now_us = now, .require_expiry = false}), JwtError::none);
    for (const std::string &bad : {std::string(), std::string("."), std::string(".."), std::string("..."),
                                   std::string("a"), good + ".", "." + good, good + "=", good + "\n", " " + good,
                                   good.substr(0, good.rfind('.')), good.substr(0, good.rfind('.') + 1)})
        EXPECT_EQ(JwtToken(bad).error(), JwtError::malformed) << bad;
    std::string other = good; // the last character of 32 bytes carries two unused bits
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    other.back() = alphabet[alphabet.find(other.back()) + 1];
    EXPECT_EQ(JwtToken(other).error(), JwtError::malformed);
}

TEST_F(JwtForm, LimitsTheSize) {
    EXPECT_EQ(JwtToken(std::string(JwtToken::max_bytes + 1, 'A')).error(), JwtError::too_large);
    EXPECT_EQ(JwtToken(std::string(1 << 20, '.')).error(), JwtError::too_large);
    EXPECT_EQ(JwtToken(std::string(JwtToken::max_bytes, 'A')).error(), JwtError::malformed);
    EXPECT_THROW(sign_jwt("{\"x\":\"" + std::string(13000, 'x') + "\"}", key), Error);
}

TEST_F(JwtForm, ReadsHeadersStrictly) {
    EXPECT_EQ(check("[]", "{}"), JwtError::malformed);
    EXPECT_EQ(check("{}", "{}"), JwtError::malformed);
    EXPECT_EQ(check(R"({"alg":"HS256","alg":"HS256"})", "{}"), JwtError::malformed);
    EXPECT_EQ(check(R"({"alg":["HS256"]})", "{}"), JwtError::malformed);
    EXPECT_EQ(check(R"({"alg":"HS256","kid":7})", "{}"), JwtError::malformed);
    EXPECT_EQ(check(R"({"alg":"HS256","typ":null})", "{}"), JwtError::malformed);
    EXPECT_EQ(check(R"({"alg":"HS256","crit":["exp"]})", "{}"), JwtError::unsupported_header);
    EXPECT_EQ(check(R"({"alg":"HS256","b64":false})", "{}"), JwtError::unsupported_header);
    EXPECT_EQ(check(R"({"alg":"HS256"} x)", "{}"), JwtError::malformed);
    EXPECT_EQ(check("{\"alg\":\"HS256\",\"x\":\"\xff\"}", "{}"), JwtError::malformed);
    EXPECT_EQ(check(R"({"alg":"HS256","jku":"https://example.com","jwk":{}})", "{}"), JwtError::none); // never followed
}

TEST_F(JwtForm, LetsTheKeyDecideTheAlgorithm) {
    for (const char *name : {"none", "None", "NONE", "hs256", "HS384", "RS256", ""})
        EXPECT_EQ(check(std::string(R"({"alg":")") + name + "\"}", "{}"), JwtError::wrong_algorithm) << name;
}

TEST_F(JwtForm, IsNotFooledByAPublicKeyAsHmacSecret) {
    const JwtKey pair = JwtKey::from_jwk(rsa_jwk, rs256);
    const std::string published = pair.public_jwk("a");
    const JwtKey forged = JwtKey::from_secret(hs256, published);
    const std::string input = base64url_encode(R"({"alg":"HS256"})") + '.' + base64url_encode("{}");
    EXPECT_EQ(
        verify(input + '.' + base64url_encode(forged.sign(input)), pair, {.now_us = now, .require_expiry = false}),
        JwtError::wrong_algorithm);
    const std::string renamed = base64url_encode(R"({"alg":"RS256"})") + '.' + base64url_encode("{}");
    EXPECT_EQ(
        verify(renamed + '.' + base64url_encode(forged.sign(renamed)), pair, {.now_us = now, .require_expiry = false}),
        JwtError::invalid_signature);
}

TEST_F(JwtForm, RefusesEcdsaSignaturesOfZeroAndInDer) {
    const JwtKey pair = JwtKey::from_jwk(p256_jwk, es256);
    EXPECT_FALSE(pair.verify("message", std::string(64, '\0')));
    EXPECT_FALSE(pair.verify("message", std::string(64, '\xff')));
    EXPECT_FALSE(pair.verify("message", ""));
    EXPECT_FALSE(pair.verify("message", std::string(70, '\x30')));
}

TEST_F(JwtForm, ReadsPayloadsStrictly) {
    EXPECT_EQ(payload("[]"), JwtError::malformed);
    EXPECT_EQ(payload("\"text\""), JwtError::malformed);
    EXPECT_EQ(payload(""), JwtError::malformed);
    EXPECT_EQ(payload(R"({"a":1,"a":2})"), JwtError::malformed);
    EXPECT_EQ(payload("{\"a\":\"\\u0000\"}"), JwtError::malformed);
    EXPECT_EQ(payload("{\"a\":\"\xc3\"}"), JwtError::malformed);
    EXPECT_EQ(payload("{\"a\":" + std::string(16, '[') + std::string(16, ']') + "}"), JwtError::malformed);
}

TEST_F(JwtForm, WantsClaimsOfTheRightKind) {
    for (const char *text : {R"({"exp":"1800000000"})", R"({"exp":null})", R"({"nbf":true})", R"({"iat":"x"})",
                             R"({"iss":1})", R"({"sub":{}})", R"({"jti":1})", R"({"aud":1})", R"({"aud":["a",1]})"})
        EXPECT_EQ(payload(text), JwtError::invalid_claims) << text;
    EXPECT_EQ(payload("{}", {.now_us = now}), JwtError::invalid_claims); // no exp
}

TEST_F(JwtForm, ChecksTimesToTheMicrosecond) {
    const char *const text = R"({"exp":1700000000,"nbf":1699999990})";
    EXPECT_EQ(payload(text, {.now_us = now - 1}), JwtError::none);
    EXPECT_EQ(payload(text, {.now_us = now}), JwtError::expired);
    EXPECT_EQ(payload(text, {.now_us = now + 60 * second - 1, .leeway_s = 60}), JwtError::none);
    EXPECT_EQ(payload(text, {.now_us = now + 60 * second, .leeway_s = 60}), JwtError::expired);
    EXPECT_EQ(payload(text, {.now_us = now - 10 * second}), JwtError::none);
    EXPECT_EQ(payload(text, {.now_us = now - 10 * second - 1}), JwtError::not_yet_valid);
    EXPECT_EQ(payload(text, {.now_us = now - 15 * second, .leeway_s = 5}), JwtError::none);
    EXPECT_EQ(payload(R"({"exp":1700000000.5})", {.now_us = now + 499999}), JwtError::none);
    EXPECT_EQ(payload(R"({"exp":1700000000.5})", {.now_us = now + 500000}), JwtError::expired);
    EXPECT_EQ(payload(R"({"exp":1.7e9})", {.now_us = now}), JwtError::expired);
}

TEST_F(JwtForm, SurvivesFarInstants) {
    EXPECT_EQ(payload(R"({"exp":9223372036854775807})", {.now_us = now}), JwtError::none);
    EXPECT_EQ(payload(R"({"exp":1e300})", {.now_us = now}), JwtError::none);
    EXPECT_EQ(payload(R"({"exp":-1e300})", {.now_us = now}), JwtError::expired);
    EXPECT_EQ(payload(R"({"exp":-9223372036854775808})", {.now_us = now}), JwtError::expired);
    EXPECT_EQ(payload(R"({"exp":1700000001,"nbf":1e30})", {.now_us = now}), JwtError::not_yet_valid);
}

TEST_F(JwtForm, ChecksIssuerAndAudience) {
    const JwtRules rules{.issuer = "us", .audience = "me", .now_us = now, .require_expiry = false};
    EXPECT_EQ(payload(R"({"iss":"us","aud":"me"})", rules), JwtError::none);
    EXPECT_EQ(payload(R"({"iss":"us","aud":["you","me"]})", rules), JwtError::none);
    EXPECT_EQ(payload(R"({"aud":"me"})", rules), JwtError::wrong_issuer);
    EXPECT_EQ(payload(R"({"iss":"US","aud":"me"})", rules), JwtError::wrong_issuer);
    EXPECT_EQ(payload(R"({"iss":"us"})", rules), JwtError::wrong_audience);
    EXPECT_EQ(payload(R"({"iss":"us","aud":"mee"})", rules), JwtError::wrong_audience);
    EXPECT_EQ(payload(R"({"iss":"us","aud":[]})", rules), JwtError::wrong_audience);
}

TEST_F(JwtForm, ChecksTheType) {
    const JwtRules rules{.type = "at+jwt", .now_us = now, .require_expiry = false};
    for (const char *type : {"at+jwt", "AT+JWT", "application/at+jwt"})
        EXPECT_EQ(check(std::string(R"({"alg":"HS256","typ":")") + type + "\"}", "{}", rules), JwtError::none) << type;
    EXPECT_EQ(check(R"({"alg":"HS256","typ":"JWT"})", "{}", rules), JwtError::wrong_type);
    EXPECT_EQ(check(R"({"alg":"HS256"})", "{}", rules), JwtError::wrong_type);
}

TEST_F(JwtForm, CanBeParsedIntoAgain) {
    JwtToken parsed;
    EXPECT_FALSE(parsed.ok());
    const std::string first = token(R"({"alg":"HS256","kid":"a"})", R"({"exp":1})"),
                      second_token = token(R"({"alg":"HS256"})", "{}");
    EXPECT_EQ(parsed.parse_into(first), JwtError::none);
    EXPECT_EQ(parsed.parse_into("junk"), JwtError::malformed);
    EXPECT_EQ(parsed.payload(), "");
    EXPECT_EQ(parsed.parse_into(second_token), JwtError::none);
    EXPECT_EQ(parsed.kid(), "");
    EXPECT_EQ(parsed.expires_us(), std::nullopt);
}

TEST_F(JwtForm, RemembersAHeaderOnlyForTokensThatHaveIt) {
    JwtToken parsed;
    const std::string a = R"({"alg":"HS256","kid":"a","typ":"JWT"})", b = R"({"alg":"HS256","kid":"b","typ":"JWT"})",
                      bad = R"({"alg":"HS256","kid":"c","crit":["x"]})";
    EXPECT_EQ(parsed.parse_into(token(a, R"({"sub":"1"})")), JwtError::none);
    EXPECT_EQ(parsed.parse_into(token(a, R"({"jti":"2"})")), JwtError::none);
    EXPECT_EQ(parsed.kid(), "a");
    EXPECT_FALSE(parsed.registered().sub);
    EXPECT_TRUE(parsed.registered().jti->equals("2"));
    EXPECT_EQ(parsed.parse_into(token(b, "{}")), JwtError::none);
    EXPECT_EQ(parsed.kid(), "b");
    EXPECT_EQ(parsed.parse_into(token(bad, "{}")), JwtError::unsupported_header);
    EXPECT_EQ(parsed.parse_into(token(bad, "{}")), JwtError::unsupported_header);
    EXPECT_EQ(parsed.parse_into(token(b, "[]")), JwtError::malformed);
    EXPECT_FALSE(parsed.registered().jti);
    const std::string last = token(b, R"({"sub":"3"})");
    EXPECT_EQ(parsed.parse_into(last), JwtError::none);
    EXPECT_EQ(parsed.kid(), "b");
    EXPECT_EQ(parsed.type(), "JWT");
    EXPECT_EQ(parsed.verify(key, {.now_us = now, .require_expiry = false}), JwtError::none);
}

TEST_F(JwtForm, SignsObjectsOnly) {
    EXPECT_EQ(refusal([&] { sign_jwt("[]", key); }), "22023: token payload must be a JSON object");
    EXPECT_EQ(refusal([&] { sign_jwt("{", key); }), "22023: token payload is not valid: expected a key at byte 2");
    EXPECT_EQ(sign_jwt("{}", key), "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30." + sign_jwt("{}", key).substr(41));
}

TEST(JwtErrors, HaveCodesAndDescriptions) {
    for (int i = 1; i <= static_cast<int>(JwtError::wrong_audience); ++i) {
        EXPECT_NE(result_code(static_cast<JwtError>(i)), "");
        EXPECT_NE(find_error_code(result_code(static_cast<JwtError>(i))), nullptr)
            << result_code(static_cast<JwtError>(i));
        EXPECT_NE(describe(static_cast<JwtError>(i)), "valid");
    }
    EXPECT_EQ(result_code(JwtError::none), "");
}

} // namespace
