#include "usher/identity/keys.hpp"

#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/json_object.hpp"
#include "common/random.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/audit/audit.hpp"
#include "usher/identity/master_key.hpp"

namespace usher::identity {

namespace {

constinit pg::Invalidation key_changes{"signing_keys_inval"};

constinit pg::Statement read_keys{R"(
    SELECT k.kid, k.algorithm, k.private_key, k.activates_at, k.retires_at, k.public_jwk::pg_catalog.text
    FROM usher.signing_keys k
    WHERE k.retires_at IS NULL OR k.retires_at OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()
    ORDER BY k.activates_at DESC, k.kid)",
                                  pg::Access::latest};
constinit pg::Statement lock_keys{"LOCK TABLE usher.signing_keys IN SHARE ROW EXCLUSIVE MODE"};
constinit pg::Statement insert_key{R"(
    INSERT INTO usher.signing_keys (kid, algorithm, private_key, public_jwk, activates_at)
    VALUES ($1, $2, $3, $4, $5))"};
// Every key retires an overlap after the next one has begun to sign, or earlier where somebody said so.
constinit pg::Statement retire_keys{R"(
    UPDATE usher.signing_keys k
    SET retires_at = n.next OPERATOR(pg_catalog.+) $1
    FROM (SELECT s.kid, pg_catalog.lead(s.activates_at) OVER (ORDER BY s.activates_at, s.kid) AS next
          FROM usher.signing_keys s) n
    WHERE n.kid OPERATOR(pg_catalog.=) k.kid
      AND (k.retires_at IS NULL OR k.retires_at OPERATOR(pg_catalog.>) (n.next OPERATOR(pg_catalog.+) $1))
      AND n.next IS NOT NULL)"};

struct KeyCache {
    std::vector<SigningKey> keys; // youngest first
    std::uint64_t loaded_at = 0;
    std::uint64_t version = 0;
};

// Never destroyed: a backend that is terminated would run the destructor without unwinding.
constinit KeyCache *cache = nullptr;

SigningKey key_of_row(const pg::Row &row) {
    SigningKey key;
    key.kid = row.string(0);
    const auto algorithm = parse_jwt_algorithm(row.text(1));
    if (!algorithm) throw Error(errc::not_configured, "signing key \"" + key.kid + "\" has an unknown algorithm");
    key.algorithm = *algorithm;
    key.set_stored(row.string(2));
    key.activates_at = row.time(3);
    if (!row.is_null(4)) key.retires_at = row.time(4);
    if (!is_hmac(key.algorithm)) key.public_jwk = row.optional_text(5).value_or("");
    return key;
}

[[noreturn]] void refuse_damaged(const std::string &kid) {
    throw Error(errc::not_configured, "signing key \"" + kid + "\" cannot be read", {},
                "Delete it, or replace it with usher.rotate_signing_key().");
}

KeyCache &loaded() {
    if (cache == nullptr) cache = new KeyCache;
    const std::uint64_t now = key_changes.generation();
    if (cache->loaded_at == now) return *cache;
    std::vector<SigningKey> keys;
    {
        const pg::AsOwner owner;
        const pg::Rows rows = read_keys.run();
        for (std::size_t i = 0; i < rows.size(); ++i) keys.push_back(key_of_row(rows[i]));
    }
    cache->keys = std::move(keys);
    cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    ++cache->version;
    return *cache;
}

const SigningKey *current(const std::vector<SigningKey> &keys, Instant now) {
    for (const SigningKey &key : keys)
        if (key.activates_at <= now && now < key.retires_at) return &key;
    return nullptr;
}

/// HMAC keys are named by chance: a thumbprint would be a hash of the secret.
std::string name_key(const JwtKey &key) {
    return is_hmac(key.algorithm()) ? base64url_encode(random_bytes(16)) : key.thumbprint();
}

/// Under the table lock.
std::string insert_new_key(JwtAlgorithm algorithm, Instant activates_at) {
    const JwtKey key = JwtKey::generate(algorithm);
    std::string kid = name_key(key);
    std::string secret = key.export_private();
    const std::string stored = store_secret(secret, sealing_context(kid));
    wipe(secret);
    const std::string jwk = key.public_jwk(kid);
    insert_key.run({pg::text(kid), pg::text(to_string(algorithm)), pg::text(stored),
                    jwk.empty() ? pg::null(JSONBOID) : pg::jsonb(jwk), pg::timestamptz(activates_at)});
    return kid;
}

} // namespace

std::string sealing_context(std::string_view kid) { return "signing_key:" + std::string(kid); }

const JwtKey &SigningKey::for_signing() const {
    if (signing_) return *signing_;
    std::string secret = open_secret(stored_, sealing_context(kid));
    try {
        signing_ = JwtKey::import_private(algorithm, secret);
    } catch (const Error &) {
        wipe(secret);
        refuse_damaged(kid);
    }
    wipe(secret);
    return *signing_;
}

const JwtKey &SigningKey::for_verifying() const {
    if (public_jwk.empty()) return for_signing();
    if (verifying_) return *verifying_;
    try {
        verifying_ = JwtKey::from_jwk(public_jwk, algorithm);
    } catch (const Error &) {
        refuse_damaged(kid);
    }
    return *verifying_;
}

const std::vector<SigningKey> &signing_keys() { return loaded().keys; }

std::uint64_t signing_keys_generation() { return loaded().version; }

const SigningKey *find_signing_key(std::string_view kid, Instant now) {
    for (const SigningKey &key : loaded().keys)
        if (key.kid == kid && now < key.retires_at) return &key;
    return nullptr;
}

const SigningKey &current_signing_key() {
    if (const SigningKey *const key = current(loaded().keys, pg::clock_time())) return *key;
    {
        const pg::AsOwner owner;
        lock_keys.run(); // two first logins make one key: the second one waits here and then finds it
        cache->loaded_at = 0;
        if (const SigningKey *const key = current(loaded().keys, pg::clock_time())) return *key;
        insert_new_key(JwtAlgorithm::es256, pg::clock_time());
    }
    if (const SigningKey *const key = current(loaded().keys, pg::clock_time())) return *key;
    throw Error("XX000", "internal error: no signing key");
}

std::string rotate_signing_key(std::optional<JwtAlgorithm> algorithm, Instant activates_at) {
    const pg::AsOwner owner;
    lock_keys.run();
    if (!algorithm) {
        const SigningKey *const key = current(loaded().keys, pg::clock_time());
        algorithm = key != nullptr ? key->algorithm : JwtAlgorithm::es256;
    }
    // Not now(): of two rotations in one transaction the second one is to win.
    if (activates_at == 0) activates_at = pg::clock_time();
    std::string kid = insert_new_key(*algorithm, activates_at);
    retire_keys.run({pg::interval(key_overlap_s * 1000000)});
    return kid;
}

} // namespace usher::identity

using namespace usher;

/// usher.rotate_signing_key(algorithm, activates_in)
USHER_FUNCTION(usher_identity_rotate_signing_key) {
    const pg::Args args(fcinfo);
    access::require("key:manage");
    std::optional<JwtAlgorithm> algorithm;
    if (const auto name = args.optional_text(0)) {
        algorithm = parse_jwt_algorithm(*name);
        if (!algorithm)
            throw Error(errc::invalid_argument, "algorithm is not supported", {}, "Use " + jwt_algorithm_list() + '.');
    }
    const std::int64_t wait = args.optional_interval_us(1).value_or(0);
    constexpr std::int64_t max_wait = std::int64_t{30} * 86400 * 1000000;
    if (wait < 0 || wait > max_wait) throw Error(errc::invalid_argument, "activates_in must be between 0 and 30 days");
    const std::string kid = identity::rotate_signing_key(algorithm, wait == 0 ? 0 : pg::transaction_time() + wait);
    const std::string data = json::Object().add("activates_in", wait / 1000000).text();
    audit::Event event;
    event.event_type = "signing_key.rotated";
    event.data = data;
    event.severity = "notice";
    event.resource_type = "signing_key";
    event.resource_id = kid;
    audit::log_event(event);
    return pg::result(pg::text(kid));
}

/// usher.jwks()
USHER_FUNCTION(usher_identity_jwks) {
    std::string document = R"({"keys": [)";
    const Instant now = pg::clock_time();
    bool first = true;
    for (const identity::SigningKey &key : identity::signing_keys()) {
        if (key.public_jwk.empty() || now >= key.retires_at) continue;
        if (!first) document += ", ";
        document += key.public_jwk;
        first = false;
    }
    return pg::result(pg::jsonb(document + "]}"));
}
