// What the fuzzers feed to the core's parsers, and what must hold for every input. Also run over the corpus by
// test/unit/fuzz_corpus_test.cpp, without libFuzzer.
#pragma once
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/jwks.hpp"
#include "common/jwt.hpp"
#include "common/utf8.hpp"
#include "usher/identity/password.hpp"
#include "usher/identity/seal.hpp"

#include <cstdlib>

namespace usher::fuzz {

/// An assertion that stays in every build.
inline void must(bool holds) {
    if (!holds) std::abort();
}

inline void visit(json::Value value, int depth = 0) {
    must(depth <= 64);
    static_cast<void>(value.as_int64());
    static_cast<void>(value.as_double());
    if (value.is_string()) {
        const std::string text = value.as_string();
        must(is_valid_utf8(text) && value.equals(text));
        json::Document again;
        const std::string quoted = json::quote(text);
        must(again.parse(quoted) && again.root().as_string() == text);
    }
    std::size_t count = 0;
    for (const json::Member member : value.members()) {
        ++count;
        visit(member.value, depth + 1);
        if (value.is_object()) must(value.find(member.key()).has_value());
    }
    must(count == value.size());
}

inline void json_target(std::string_view input) {
    json::Document document;
    if (!document.parse(input, {1 << 16, 64})) {
        must(!document.error().empty());
        return;
    }
    visit(document.root());
    // The value alone is a document too.
    json::Document again;
    must(again.parse(document.root().raw()));
}

inline void jwt_target(std::string_view input) {
    static const JwtKey hmac = JwtKey::from_secret(JwtAlgorithm::hs256, std::string(32, 'k'));
    static const JwtKey pair = JwtKey::generate(JwtAlgorithm::es256);
    static JwtToken reused; // remembers what it has read before, and must not mix it up
    JwtToken token(input);
    must(reused.parse_into(input) == token.error());
    must(!token.ok() || (reused.kid() == token.kid() && reused.type() == token.type() &&
                         reused.algorithm_name() == token.algorithm_name() && reused.payload() == token.payload()));
    if (token.ok()) {
        must(token.claims().is_object() && is_valid_utf8(token.payload()) && input.size() <= JwtToken::max_bytes);
        const JwtRules rules{.issuer = "usher", .audience = "usher", .type = "at+jwt", .now_us = 1700000000000000};
        must(token.verify(pair, rules) != JwtError::none); // nobody knows this key
        static_cast<void>(token.verify(hmac, rules));
    }
    // The parts behind the signature get no input from a fuzzer otherwise.
    try {
        const std::string own = sign_jwt(input, hmac, "at+jwt", "kid");
        JwtToken signed_token(own);
        const JwtError error = signed_token.verify(hmac, {.now_us = 1700000000000000, .require_expiry = false});
        must(error != JwtError::invalid_signature && error != JwtError::wrong_algorithm &&
             error != JwtError::wrong_type);
    } catch (const Error &) { // no object, or too large
    }
    try {
        const JwtKey key = JwtKey::from_jwk(input);
        static_cast<void>(key.thumbprint());
    } catch (const Error &) {
    }
    try {
        static constexpr JwtAlgorithm any[] = {JwtAlgorithm::rs256, JwtAlgorithm::ps256, JwtAlgorithm::es256,
                                               JwtAlgorithm::es384, JwtAlgorithm::es512, JwtAlgorithm::eddsa};
        must(KeySet::parse(input, any).size() > 0);
    } catch (const Error &) {
    }
    static const MasterKey master = *MasterKey::parse(std::string(32, 'k'));
    must(!master.open(input, "context")); // nobody knows this key
    if (const auto key = MasterKey::parse(input)) must(key->open(key->seal("secret", "a"), "a") == "secret");
    if (const auto bytes = base64url_decode(input)) must(base64url_encode(*bytes) == input);
    if (const auto bytes = base64_decode(input)) must(base64_encode(*bytes) == input);
}

inline void password_target(std::string_view input) {
    const ParsedHash parsed = parse_password_hash(input);
    must(parsed || !parsed.error.empty());
    if (parsed) {
        const PasswordHash &hash = *parsed.hash;
        must(hash.digest.size() <= 64 && hash.salt.size() <= 64);
        static_cast<void>(needs_rehash(hash, {}));
        const auto fake_bcrypt = [](std::string_view, std::string_view setting) {
            return std::string(setting) + std::string(31, '.');
        };
        // Only what is cheap: the caps allow seconds.
        const bool cheap =
            hash.memory_kib <= 256 && hash.iterations <= 12 && hash.block_size <= 8 && hash.parallelism <= 2;
        if (cheap) static_cast<void>(verify_password("password", hash, fake_bcrypt));
    }
    static_cast<void>(check_password_policy(input, {}, {input.substr(0, input.size() / 2), "user", "First", "Last"}));
    static_cast<void>(is_common_password(input));
}

} // namespace usher::fuzz
