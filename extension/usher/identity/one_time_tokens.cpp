#include "usher/identity/one_time_tokens.hpp"
#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "common/random.hpp"
#include "pg/spi.hpp"
#include "usher/identity/account.hpp"
#include "usher/operations/settings.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
// Two requests at the same time: the second waits here, then ends the token of the first.
constinit pg::Statement lock_user{"SELECT FROM usher.users WHERE id = $1 FOR NO KEY UPDATE"};
constinit pg::Statement end_open{"SELECT usher._end_one_time_tokens($1, $2)"};
constinit pg::Statement add_token{R"(
    INSERT INTO usher.one_time_tokens (user_id, purpose, token_hash, email, event_id, client_ip, user_agent,
                                       expires_at, security_context, registration)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, jsonb_strip_nulls(jsonb_build_object('correlation_id', $9)), $10))"};
constinit pg::Statement event_payload{
    "SELECT jsonb_build_object('user_id', $1, 'email', $2, 'token', $3, 'expires_at', $4)::text", pg::Access::read};
constinit pg::Statement use{R"(
    UPDATE usher.one_time_tokens
    SET used_at = clock_timestamp(), registration = NULL
    WHERE token_hash = $1 AND purpose = ANY ($2) AND used_at IS NULL AND ended_at IS NULL
      AND expires_at > clock_timestamp()
    RETURNING user_id, email::text, purpose::text, event_id)"};
constinit pg::Statement find{R"(
    SELECT user_id, email::text, purpose::text, used_at IS NULL AND ended_at IS NULL, expires_at > clock_timestamp(),
           event_id, registration::text
    FROM usher.one_time_tokens
    WHERE token_hash = $1 AND purpose = ANY ($2))"};
constinit pg::Statement cut_event{"UPDATE usher.events SET payload = payload - 'token' WHERE id = $1"};

std::int64_t lifetime_s(const char *purpose) {
    return std::string_view(purpose) == purpose::password_reset ? guc::reset_token_ttl : guc::email_token_ttl;
}

OneTimeToken refuse(const char *error) {
    OneTimeToken refused;
    refused.error = error;
    return refused;
}
} // namespace

std::string issue_one_time_token(const Uuid &user_id, const char *purpose, std::string_view email,
                                 std::string_view event, std::string_view registration) {
    lock_user.run({pg::uuid(user_id)});
    end_one_time_tokens(user_id, purpose);
    std::string token = random_token();
    const std::string hash = sha256_bytes(token);
    const Instant expires_at = pg::clock_time() + lifetime_s(purpose) * one_second;
    std::optional<Uuid> event_id;
    if (!event.empty()) {
        const pg::Rows payload =
            event_payload.run({pg::uuid(user_id), pg::text(email), pg::text(token), pg::timestamptz(expires_at)});
        event_id = publish(event, payload.front().string(0), user_id);
    }
    const Origin origin = request_origin();
    const std::string_view correlation = request::context().correlation_id;
    add_token.run({pg::uuid(user_id), pg::text(purpose), pg::bytea(hash), pg::text(email), pg::uuid_or_null(event_id),
                   pg::inet_or_null(origin.address), pg::text_unless_empty(origin.agent), pg::timestamptz(expires_at),
                   pg::text_unless_empty(correlation),
                   registration.empty() ? pg::null(JSONBOID) : pg::jsonb(registration)});
    return token;
}

void send_email_verification(const Account &account, std::string_view registration) {
    issue_one_time_token(account.id, purpose::email_verification, account.email, "user.email_verification_requested",
                         registration);
}

OneTimeToken find_one_time_token(std::string_view token, const std::vector<std::string> &purposes) {
    const std::string hash = sha256_bytes(trim(token).substr(0, 256));
    const pg::Rows rows = find.run({pg::bytea(hash), pg::text_array(purposes)});
    if (rows.empty() || !rows.front().boolean(3)) return refuse("invalid_token");
    if (!rows.front().boolean(4)) return refuse("token_expired");
    const pg::Row row = rows.front();
    return {nullptr,        row.uuid(0), row.string(1), row.string(2), std::string(row.optional_text(6).value_or("")),
            !row.is_null(5)};
}

OneTimeToken use_one_time_token(std::string_view token, const std::vector<std::string> &purposes) {
    const std::string hash = sha256_bytes(trim(token).substr(0, 256));
    const pg::Rows rows = use.run({pg::bytea(hash), pg::text_array(purposes)});
    if (rows.empty()) {
        const OneTimeToken found = find_one_time_token(token, purposes);
        return refuse(found.error == nullptr ? "invalid_token" : found.error);
    }
    const pg::Row row = rows.front();
    if (const std::optional<Uuid> event_id = row.optional_uuid(3)) cut_event.run({pg::uuid(*event_id)});
    return {nullptr, row.uuid(0), row.string(1), row.string(2), {}, !row.is_null(3)};
}

void end_one_time_tokens(const Uuid &user_id, const char *purpose) {
    end_open.run({pg::uuid(user_id), purpose == nullptr ? pg::null(TEXTOID) : pg::text(purpose)});
}

} // namespace usher::identity
