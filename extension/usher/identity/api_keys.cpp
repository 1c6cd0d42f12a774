#include "usher/identity/api_keys.hpp"
#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "common/utf8.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "usher/access/access.hpp"
#include "usher/access/permission.hpp"
#include "usher/identity/account.hpp"
#include "usher/identity/accounts.hpp"
#include "usher/identity/api_key.hpp"
#include "usher/identity/factors.hpp"
#include "usher/identity/tokens.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
constexpr std::int64_t minute = 60000000;
constexpr std::int64_t max_keys = 100; // in force, of one user
constexpr std::size_t max_permissions = 100;

// Read as it is committed, whatever the isolation level: a key that was revoked is of no use in any transaction.
constinit pg::Statement find_key{R"(
    SELECT k.id, k.user_id, k.key_hash, pg_catalog.array_to_string(k.permissions, ' '), k.expires_at, l.last_used_at,
           k.revoked_at IS NULL AND u.is_active, pg_catalog.to_jsonb(k.permissions)::pg_catalog.text
    FROM usher.api_keys k JOIN usher.users u ON u.id OPERATOR(pg_catalog.=) k.user_id
        LEFT JOIN usher.api_key_uses l ON l.api_key_id OPERATOR(pg_catalog.=) k.id
    WHERE k.prefix OPERATOR(pg_catalog.=) $1)",
                                 pg::Access::latest};
constinit pg::Statement find_permissions{R"(
    SELECT pg_catalog.array_to_string(k.permissions, ' '), k.expires_at
    FROM usher.api_keys k JOIN usher.users u ON u.id OPERATOR(pg_catalog.=) k.user_id
    WHERE k.id OPERATOR(pg_catalog.=) $1 AND k.user_id OPERATOR(pg_catalog.=) $2 AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()) AND u.is_active)",
                                         pg::Access::latest};
constinit pg::Statement find_revoked{"SELECT FROM usher.revoked_tokens t WHERE t.jti OPERATOR(pg_catalog.=) $1",
                                     pg::Access::latest};
// SKIP LOCKED: another call is recording the same minute.
constinit pg::Statement note_use{R"(
    UPDATE usher.api_key_uses
    SET last_used_at = pg_catalog.clock_timestamp()
    WHERE api_key_id OPERATOR(pg_catalog.=) ANY (SELECT l.api_key_id
                                                 FROM usher.api_key_uses l WHERE l.api_key_id OPERATOR(pg_catalog.=) $1
                                                 FOR NO KEY UPDATE SKIP LOCKED))"};

constinit pg::Statement count_keys{R"(
    SELECT pg_catalog.count(*)
    FROM usher.api_keys
    WHERE user_id OPERATOR(pg_catalog.=) $1 AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()))"};
constinit pg::Statement add_key{R"(
    INSERT INTO usher.api_keys (id, user_id, name, prefix, key_hash, permissions, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7))"};

constinit pg::Statement find_unknown{R"(
    SELECT n.name
    FROM pg_catalog.unnest($1) WITH ORDINALITY AS n (name, place)
    WHERE n.name OPERATOR(pg_catalog.<>) '*:*'
      AND NOT EXISTS (SELECT FROM usher.permissions p
                      WHERE p.name OPERATOR(pg_catalog.=) n.name
                         OR pg_catalog.right(n.name, 2) OPERATOR(pg_catalog.=) ':*'
                            AND pg_catalog.starts_with(p.name, pg_catalog.left(n.name, -1)))
    ORDER BY n.place LIMIT 1)"};
constinit pg::Statement add_use{"INSERT INTO usher.api_key_uses (api_key_id) VALUES ($1)"};

CheckedApiKey refuse(const char *error) {
    CheckedApiKey refused;
    refused.error = error;
    return refused;
}
} // namespace

CheckedApiKey check_api_key(std::string_view text) {
    const auto prefix = api_key_prefix(text);
    if (!prefix) return refuse("invalid_token");
    const std::string hash = sha256_bytes(text);
    const pg::AsOwner owner;
    const pg::Rows rows = find_key.run({pg::text(*prefix)});
    if (rows.empty() || !constant_time_equal(rows.front().text(2), hash)) return refuse("invalid_token");
    const pg::Row row = rows.front();
    const Instant now = pg::clock_time();
    CheckedApiKey key;
    key.id = row.uuid(0);
    key.user_id = row.uuid(1);
    key.permissions = row.string(3);
    key.expires_at = row.optional_time(4).value_or(permission::never);
    if (!row.boolean(6)) return refuse("token_revoked");
    if (now >= key.expires_at) return refuse("token_expired");
    key.claims = R"({"sub":")" + to_string(key.user_id) + R"(","api_key_id":")" + to_string(key.id) +
                 R"(","permissions":)" + row.string(7) + '}';
    if (now - row.optional_time(5).value_or(0) >= minute && pg::may_write()) note_use.run({pg::uuid(key.id)});
    return key;
}

std::optional<std::string> permissions_of_key(const Uuid &id, const Uuid &user_id) {
    const pg::AsOwner owner;
    const pg::Rows rows = find_permissions.run({pg::uuid(id), pg::uuid(user_id)});
    return rows.empty() ? std::nullopt : std::optional(rows.front().string(0));
}

bool is_token_revoked(const Uuid &jti) {
    const pg::AsOwner owner;
    return !find_revoked.run({pg::uuid(jti)}).empty();
}

bool is_covered(std::string_view permissions, std::string_view name) {
    const auto asked = permission::parse(name);
    if (!asked) return false;
    for (std::string_view left = permissions; !left.empty();) {
        const std::size_t end = std::min(left.find(' '), left.size());
        const auto given = permission::parse(left.substr(0, end));
        if (given && permission::covers(*given, *asked)) return true;
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return false;
}

namespace {
void require_permissions(const std::vector<std::string> &permissions) {
    const auto refuse_argument = [](const std::string &message) {
        throw Error(errc::invalid_argument, message, R"({"argument": "permissions"})");
    };
    if (permissions.empty() || permissions.size() > max_permissions)
        refuse_argument("an API key has 1 to 100 permissions");
    for (const std::string &each : permissions)
        if (!permission::parse(each))
            refuse_argument("each permission must have the form resource:action, resource:* or *:*");
    // A key that was given a name with a mistake in it would be refused for ever, and nobody would know why.
    const pg::Rows unknown = find_unknown.run({pg::text_array(permissions)});
    if (!unknown.empty())
        throw Error(errc::invalid_argument, "permission \"" + unknown.front().string(0) + "\" does not exist",
                    json::Object().add("argument", "permissions").add("permission", unknown.front().string(0)).text(),
                    "usher.list_defined_permissions() names those there are.");
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.create_api_key(name, permissions, expires_at, user_id)
USHER_FUNCTION(usher_identity_create_api_key) {
    const pg::Args args(fcinfo);
    const std::string name(trim(args.text(0)));
    std::vector<std::string> permissions = args.text_array(1);
    const std::optional<Instant> expires_at = args.optional_time(2);
    const std::optional<Uuid> given = args.optional_uuid(3);
    Uuid owner;
    if (const request::Identity *const who = request::current(); who != nullptr && (!given || *given == who->user_id)) {
        owner = request::require_person().user_id; // a key that could make keys would never end
        identity::require_second_factor(owner);
    } else if (given) {
        if (request::current() != nullptr) (void)request::require_person();
        access::require_power_over(*given);
        owner = *given;
    } else {
        (void)request::require();
    }
    if (name.empty() || utf8_length(name) > 100)
        throw Error(errc::invalid_argument, "name must have 1 to 100 characters");
    identity::require_permissions(permissions);
    std::sort(permissions.begin(), permissions.end());
    permissions.erase(std::unique(permissions.begin(), permissions.end()), permissions.end());
    if (expires_at && *expires_at <= pg::clock_time())
        throw Error(errc::invalid_argument, "expires_at must be in the future", R"({"argument": "expires_at"})");
    pg::RowBuilder row(fcinfo);
    const identity::Account account = identity::require_account(owner);
    if (!account.may_log_in())
        throw Error(errc::unknown_reference, "user is not active",
                    json::Object().add("user_id", owner).add("reference", "user").add("id", owner).text());
    if (identity::count_keys.run({pg::uuid(owner)}).front().int8(0) >= identity::max_keys)
        return row.set("error", pg::text("too_many_factors")).finish();
    const ApiKey key = make_api_key();
    const Uuid id = pg::new_uuid();
    const std::string hash = sha256_bytes(key.text);
    identity::add_key.run({pg::uuid(id), pg::uuid(owner), pg::text(name), pg::text(key.prefix), pg::bytea(hash),
                           pg::text_array(permissions), pg::timestamptz_or_null(expires_at)});
    identity::add_use.run({pg::uuid(id)});
    identity::record({"api_key.created",
                      json::Object().add("api_key_id", id).add("name", name).add("prefix", key.prefix).text(),
                      "notice"},
                     owner);
    const std::string payload = json::Object()
                                    .add("user_id", owner)
                                    .add("email", account.email)
                                    .add("api_key_id", id)
                                    .add("name", name)
                                    .add("prefix", key.prefix)
                                    .text();
    identity::publish("user.api_key_created", payload, owner);
    row.set("api_key_id", pg::uuid(id)).set("api_key", pg::text(key.text)).set("prefix", pg::text(key.prefix));
    return row.finish();
}

/// usher._issue_client_token(api_key_id, user_id, scope, expires_at): nothing when the scope is more than the key may.
USHER_FUNCTION(usher_identity_issue_client_token) {
    const pg::Args args(fcinfo);
    identity::Client client{args.uuid(0), {}, args.optional_time(3).value_or(permission::never)};
    const Uuid user_id = args.uuid(1);
    const std::string held = identity::permissions_of_key(client.api_key_id, user_id).value_or("");
    const std::string_view asked = args.optional_text(2).value_or("");
    pg::RowBuilder row(fcinfo);
    for (std::string_view left = trim(asked); !left.empty(); left = trim(left)) {
        const std::string_view each = left.substr(0, left.find(' '));
        if (!identity::is_covered(held, each)) return row.finish();
        client.scope += (client.scope.empty() ? "" : " ") + std::string(each);
        left.remove_prefix(each.size());
    }
    if (client.scope.empty()) client.scope = held;
    if (client.scope.empty()) return row.finish();
    const identity::IssuedToken issued = identity::issue_client_token(user_id, client);
    row.set("access_token", pg::text(issued.token)).set("granted", pg::text(client.scope));
    row.set("expires_in", pg::int4(static_cast<std::int32_t>(issued.expires_in_s)));
    return row.finish();
}
