// sign_jwt and verify_jwt: tokens of the caller's own, with the caller's keys.
#include "common/jwt.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/identity/claims_jsonb.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {

/// Keys that were used lately, ready for use: setting one up costs more than an HMAC.
struct KeptKey {
    JwtAlgorithm algorithm;
    std::string text;
    JwtKey key;
    std::uint64_t used;
};
constexpr std::size_t max_kept_keys = 16;
constinit std::vector<KeptKey> *kept_keys = nullptr; // never destroyed
constinit std::uint64_t uses = 0;

JwtKey read_key(JwtAlgorithm algorithm, std::string_view text) {
    if (text.empty()) throw Error(errc::invalid_argument, "key must not be empty");
    if (text.front() == '{') return JwtKey::from_jwk(text, algorithm);
    if (!is_hmac(algorithm)) return JwtKey::from_pem(algorithm, text);
    // Whoever gives a key pair's PEM for an HMAC is about to sign with what everybody knows.
    if (text.find("-----BEGIN ") != std::string_view::npos)
        throw Error(errc::invalid_argument, "a PEM key cannot be the secret of " + std::string(to_string(algorithm)));
    return JwtKey::from_secret(algorithm, text);
}

const JwtKey &kept_key(JwtAlgorithm algorithm, std::string_view text) {
    if (kept_keys == nullptr) {
        kept_keys = new std::vector<KeptKey>;
        kept_keys->reserve(max_kept_keys);
    }
    for (KeptKey &each : *kept_keys) {
        if (each.algorithm != algorithm || each.text != text) continue;
        each.used = ++uses;
        return each.key;
    }
    KeptKey fresh{algorithm, std::string(text), read_key(algorithm, text), ++uses};
    if (kept_keys->size() < max_kept_keys) return kept_keys->emplace_back(std::move(fresh)).key;
    KeptKey &oldest = *std::min_element(kept_keys->begin(), kept_keys->end(),
                                        [](const KeptKey &a, const KeptKey &b) { return a.used < b.used; });
    oldest = std::move(fresh);
    return oldest.key;
}

JwtAlgorithm algorithm_argument(const pg::Args &args, int i) {
    const auto algorithm = parse_jwt_algorithm(args.text(i));
    if (!algorithm)
        throw Error(errc::invalid_argument, "algorithm is not supported", {}, "Use " + jwt_algorithm_list() + '.');
    return *algorithm;
}

/// The token is parsed into the same memory again and again, and so are its claims made. Never destroyed.
constinit JwtToken *parsed_token = nullptr;
constinit std::string *claims_bytes = nullptr;

} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.sign_jwt(payload, key, algorithm, kid)
USHER_FUNCTION(usher_identity_sign_jwt) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) args.refuse_null(0);
    const JwtAlgorithm algorithm = identity::algorithm_argument(args, 2);
    const JwtKey &key = identity::kept_key(algorithm, args.text(1));
    const std::string payload = identity::json_of_argument(fcinfo->args[0].value);
    return pg::result(pg::text(sign_jwt(payload, key, "JWT", args.optional_text(3).value_or(""))));
}

/// usher.verify_jwt(token, key, algorithm, issuer, audience) -> claims, error
USHER_FUNCTION(usher_identity_verify_jwt) {
    const pg::Args args(fcinfo);
    const JwtAlgorithm algorithm = identity::algorithm_argument(args, 2);
    const JwtKey &key = identity::kept_key(algorithm, args.text(1));
    if (identity::parsed_token == nullptr) {
        identity::claims_bytes = new std::string;
        identity::parsed_token = new JwtToken;
    }
    JwtToken &token = *identity::parsed_token;
    const JwtRules rules{args.optional_text(3).value_or(""),
                         args.optional_text(4).value_or(""),
                         {},
                         pg::clock_time(),
                         guc::clock_skew,
                         false};
    JwtError error = args.is_null(0) ? JwtError::malformed : token.parse_into(args.text(0));
    if (error == JwtError::none) error = token.verify(key, rules);
    if (error != JwtError::none) return identity::claims_or_error(fcinfo, std::nullopt, result_code(error));
    std::string &claims = *identity::claims_bytes;
    claims.clear();
    if (!identity::append_claims(claims, token.claims()))
        return identity::claims_or_error(fcinfo, std::nullopt, result_code(JwtError::invalid_claims));
    return identity::claims_or_error(fcinfo, PointerGetDatum(claims.data()), {});
}
