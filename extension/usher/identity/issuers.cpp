#include "usher/identity/issuers.hpp"

#include <algorithm>

#include "common/digest.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "usher/identity/claims_jsonb.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {

constinit pg::Invalidation issuer_changes{"token_issuers_inval"};

constinit pg::Statement read_issuers{R"(
    SELECT i.issuer, i.provider::pg_catalog.text,
           i.jwks::pg_catalog.text, pg_catalog.array_to_json(i.audiences)::pg_catalog.text,
           pg_catalog.array_to_json(i.algorithms)::pg_catalog.text
    FROM usher.token_issuers i
    WHERE i.is_active)",
                                     pg::Access::latest};

struct IssuerCache {
    std::vector<Issuer> issuers;
    std::uint64_t loaded_at = 0;
    std::uint64_t version = 0;
};
constinit IssuerCache *cache = nullptr; // never destroyed

std::vector<std::string> strings_of(std::string_view json_array) {
    json::Document document;
    std::vector<std::string> strings;
    if (!document.parse(json_array)) return strings;
    for (const json::Member each : document.root().members()) strings.push_back(each.value.as_string());
    return strings;
}

std::vector<JwtAlgorithm> algorithms_of(const std::vector<std::string> &names) {
    std::vector<JwtAlgorithm> algorithms;
    for (const std::string &name : names) {
        const auto algorithm = parse_jwt_algorithm(name);
        if (!algorithm || is_hmac(*algorithm))
            throw Error(errc::invalid_argument, "algorithm is not supported for outside issuers", {},
                        "Use " + jwt_algorithm_list(false) + '.');
        algorithms.push_back(*algorithm);
    }
    return algorithms;
}

std::string utf8(std::string_view text) {
    return pg::call([&] {
        return static_cast<const char *>(
            pg_server_to_any(pnstrdup(text.data(), text.size()), static_cast<int>(text.size()), PG_UTF8));
    });
}

// The functions let only usable key sets in. One that came another way has no keys: its tokens are refused, and the
// others' are not held up by it.
KeySet usable_keys(const std::string &issuer, std::string_view document, const std::vector<std::string> &algorithms) {
    try {
        return KeySet::parse(document, algorithms_of(algorithms));
    } catch (const Error &error) {
        pg::call([&] {
            ereport(LOG, errmsg("keys of token issuer \"%s\" cannot be used: %s", issuer.c_str(), error.what()));
        });
        return {};
    }
}

IssuerCache &loaded() {
    if (cache == nullptr) cache = new IssuerCache;
    const std::uint64_t now = issuer_changes.generation();
    if (cache->loaded_at == now) return *cache;
    std::vector<Issuer> issuers;
    {
        const pg::AsOwner owner;
        const pg::Rows rows = read_issuers.run();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const pg::Row row = rows[i];
            const std::string issuer = utf8(row.text(0));
            issuers.push_back({issuer, row.string(1), strings_of(utf8(row.text(3))),
                               usable_keys(issuer, utf8(row.text(2)), strings_of(row.text(4)))});
        }
    }
    cache->issuers = std::move(issuers);
    cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    ++cache->version;
    return *cache;
}

// Tokens with a key that nobody knows: the issuer may have new ones. Verifying writes nothing, so whoever fetches keys
// (usher.want_issuer_keys()) reads it here.
struct SeenKey {
    std::uint32_t database;
    std::array<std::uint8_t, 16> issuer; // of its digest
};
struct Seen {
    SeenKey key;
    Instant at;
};
constexpr long most_issuers = 256;
pg::SharedMap<SeenKey, Seen> unknown_keys{"usher unknown keys of issuers", most_issuers};

SeenKey seen_key(std::string_view issuer) {
    SeenKey key{MyDatabaseId, {}};
    const auto digest = sha256(issuer);
    std::copy_n(digest.begin(), key.issuer.size(), key.issuer.begin());
    return key;
}

void note_unknown_key(const std::string &issuer) {
    if (!pg::is_preloaded()) return;
    const SeenKey key = seen_key(issuer);
    const Instant now = pg::clock_time();
    unknown_keys.locked([&](auto &locked) {
        if (Seen *const seen = locked.find_or_add(key)) seen->at = now;
    });
}

/// An access token (RFC 9068) or a plain one. Others that the issuer may sign, for logout or as a proof of possession,
/// are marked by their type and are no credentials (RFC 8725 section 3.11).
bool is_credential(const JwtToken &token) {
    return token.type().empty() || token.type_matches("JWT") || token.type_matches("at+jwt");
}

} // namespace

const Issuer *find_issuer(std::string_view issuer) {
    for (const Issuer &each : loaded().issuers)
        if (each.issuer == issuer) return &each;
    return nullptr;
}

std::uint64_t issuers_generation() { return loaded().version; }

const char *verify_outside_token(JwtToken &token, const Issuer &issuer, std::int64_t now_us) {
    const KeySet::Choice choice = issuer.keys.choose(token.kid(), token.algorithm_name());
    if (choice.key == nullptr) {
        note_unknown_key(issuer.issuer);
        return choice.error;
    }
    const JwtRules rules{.issuer = issuer.issuer, .now_us = now_us, .leeway_s = guc::clock_skew};
    if (const JwtError error = token.verify(*choice.key, rules); error != JwtError::none)
        return result_code(error).data();
    if (!is_credential(token)) return result_code(JwtError::wrong_type).data();
    const auto meant = [&](const std::string &audience) { return token.has_audience(audience); };
    if (std::none_of(issuer.audiences.begin(), issuer.audiences.end(), meant))
        return result_code(JwtError::wrong_audience).data();
    return nullptr;
}

} // namespace usher::identity

using namespace usher;

/// usher._count_issuer_keys(jwks, algorithms): refuses what could not be used
USHER_FUNCTION(usher_identity_count_issuer_keys) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) args.refuse_null(0);
    const std::string document = identity::json_of_argument(fcinfo->args[0].value);
    const KeySet keys = KeySet::parse(document, identity::algorithms_of(args.text_array(1)));
    return pg::result(pg::int4(static_cast<std::int32_t>(keys.size())));
}

/// usher._unknown_key_seen_at(issuer)
USHER_FUNCTION(usher_identity_unknown_key_seen_at) {
    const pg::Args args(fcinfo);
    if (!pg::is_preloaded()) return pg::null_result(fcinfo);
    const identity::SeenKey key = identity::seen_key(args.text(0));
    const Instant at = identity::unknown_keys.locked([&](auto &locked) {
        const identity::Seen *const seen = locked.find(key);
        return seen == nullptr ? 0 : seen->at;
    });
    return at == 0 ? pg::null_result(fcinfo) : pg::result(pg::timestamptz(at));
}
