// Tokens that outside providers gave us for their accounts of our users: sealed at rest, for the application alone.
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/audit/audit.hpp"
#include "usher/identity/accounts.hpp"
#include "usher/identity/master_key.hpp"

namespace usher::identity {

namespace {
constexpr std::size_t max_token = 16384;

constinit pg::Statement find_identity{R"(
    SELECT id, access_token, refresh_token, token_expires_at
    FROM usher.identities
    WHERE user_id = $1 AND provider = $2 FOR NO KEY UPDATE)"};
constinit pg::Statement read_identity{R"(
    SELECT id, access_token, refresh_token, token_expires_at
    FROM usher.identities
    WHERE user_id = $1 AND provider = $2)"};
constinit pg::Statement save_tokens{R"(
    UPDATE usher.identities
    SET access_token = $2, refresh_token = $3, token_expires_at = $4, updated_at = clock_timestamp()
    WHERE id = $1)"};

// As usher._sealed_columns() says.
std::string context_of(const Uuid &id, std::string_view column) {
    return (column == "access_token" ? "identity_access:" : "identity_refresh:") + to_string(id);
}

// Whatever the provider's tokens look like, encoded they do not look like something sealed.
std::optional<std::string> seal(const std::optional<std::string_view> &token, const Uuid &id, std::string_view column) {
    if (!token) return std::nullopt;
    if (token->size() > max_token) throw Error(errc::invalid_argument, "a token must have at most 16 KiB");
    return store_secret(base64url_encode(*token), context_of(id, column));
}

void set_opened(pg::RowBuilder &row, const char *column, const std::optional<std::string> &stored, const Uuid &id) {
    if (!stored) return;
    std::string text = open_secret(*stored, context_of(id, column));
    std::optional<std::string> token = base64url_decode(text);
    wipe(text);
    if (!token) throw Error("XX001", "a provider's token is damaged");
    row.set(column, pg::text(*token));
    wipe(*token);
}

[[noreturn]] void refuse_unknown(const Uuid &user_id, std::string_view provider) {
    throw Error(errc::unknown_reference, "the user has no account at this provider",
                json::Object().add("reference", "identity").add("user_id", user_id).add("provider", provider).text());
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.set_provider_tokens(user_id, provider, access_token, refresh_token, expires_at)
USHER_FUNCTION(usher_identity_set_provider_tokens) {
    const pg::Args args(fcinfo);
    const Uuid user_id = args.uuid(0);
    const std::string_view provider = args.text(1);
    access::require_power_over(user_id);
    const pg::Rows rows = identity::find_identity.run({pg::uuid(user_id), pg::text(provider)});
    if (rows.empty()) identity::refuse_unknown(user_id, provider);
    const Uuid id = rows.front().uuid(0);
    const std::optional<std::string> access = identity::seal(args.optional_text(2), id, "access_token"),
                                     refresh = identity::seal(args.optional_text(3), id, "refresh_token");
    identity::save_tokens.run({pg::uuid(id), pg::text_or_null(access), pg::text_or_null(refresh),
                               pg::timestamptz_or_null(args.optional_time(4))});
    return pg::null_result(fcinfo);
}

/// usher.get_provider_tokens(user_id, provider)
USHER_FUNCTION(usher_identity_get_provider_tokens) {
    const pg::Args args(fcinfo);
    const Uuid user_id = args.uuid(0);
    const std::string_view provider = args.text(1);
    access::require_power_over(user_id);
    const pg::Rows rows = identity::read_identity.run({pg::uuid(user_id), pg::text(provider)});
    if (rows.empty()) identity::refuse_unknown(user_id, provider);
    audit::log_read("user", to_string(user_id), R"({"part":"provider_tokens"})");
    const pg::Row found = rows.front();
    const Uuid id = found.uuid(0);
    pg::RowBuilder row(fcinfo);
    identity::set_opened(row, "access_token", found.optional_text(1), id);
    identity::set_opened(row, "refresh_token", found.optional_text(2), id);
    if (const auto expires_at = found.optional_time(3)) row.set("expires_at", pg::timestamptz(*expires_at));
    return row.finish();
}
