#include "usher/identity/sessions.hpp"
#include "common/json_object.hpp"
#include "common/random.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/identity/cut_off.hpp"
#include "usher/identity/refresh_token.hpp"
#include "usher/identity/tokens.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {
constexpr std::size_t max_device = 16384;

constinit pg::Statement add_session{R"(
    INSERT INTO usher.sessions (id, user_id, refresh_token_hash, rotation_key, device, fingerprint, security_context,
                                client_ip, user_agent, authentication_methods, assurance_level, created_at,
                                last_activity_at, expires_at, absolute_expires_at)
    VALUES ($1, $2, $3, $4, $5 - 'security_context', left($5 ->> 'fingerprint', 255),
            CASE jsonb_typeof($5 -> 'security_context') WHEN 'object' THEN $5 -> 'security_context' ELSE '{}' END, $6,
            $7, $8, $9, $10, $10, $11, $12))"};
// Has the user logged in before, and never so? A program is told by its fingerprint, or else by its agent. Whoever logs
// in very often is judged by the latest times.
constinit pg::Statement is_new_device{R"(
    SELECT count(*) > 0 AND NOT coalesce(bool_or(
               CASE WHEN $2::jsonb ->> 'fingerprint' IS NOT NULL
                    THEN s.fingerprint IS NOT DISTINCT FROM left($2 ->> 'fingerprint', 255)
                    ELSE s.user_agent IS NOT DISTINCT FROM $3 END), false)
    FROM (SELECT l.fingerprint, l.user_agent
          FROM usher.sessions l WHERE l.user_id = $1 ORDER BY l.created_at DESC LIMIT 200) s)"};
constinit pg::Statement describe_device{R"(
    SELECT jsonb_build_object('user_id', $1, 'session_id', $2, 'user_agent', $3::text, 'client_ip', host($4),
                              'logged_in_at', $5)::text)",
                                        pg::Access::read};
constinit pg::Statement raise_level{R"(
    UPDATE usher.sessions
    SET assurance_level = 2,
        generation_step = 2, parent_token_hash = NULL, authentication_methods = authentication_methods
            || ARRAY(SELECT m FROM unnest('{otp,mfa}'::text[]) m WHERE m <> ALL (authentication_methods))
    WHERE id = $1
    RETURNING array_to_string(authentication_methods, ' '))"};
constinit pg::Statement skip{"UPDATE usher.sessions SET generation_step = 2, parent_token_hash = NULL WHERE id = $1"};

constinit pg::Statement lock_session{R"(
    SELECT s.user_id, s.status, s.generation, s.generation_step, s.refresh_token_hash, s.parent_token_hash,
           s.rotation_key, s.refreshed_at, s.expires_at, s.absolute_expires_at, u.status IN ('active', 'pending'),
           s.assurance_level::int4, array_to_string(s.authentication_methods, ' ')
    FROM usher.sessions s JOIN usher.users u ON u.id = s.user_id
    WHERE s.id = $1 FOR NO KEY UPDATE OF s)"};
// None of these columns is indexed and status is not among them: the row is updated in place and no cache is disturbed.
constinit pg::Statement rotate{R"(
    UPDATE usher.sessions
    SET generation = $2, generation_step = 1, refresh_token_hash = $3, parent_token_hash = $4,
        refreshed_at = $5, last_activity_at = $5, expires_at = $6, client_ip = coalesce($7, client_ip),
        user_agent = coalesce($8, user_agent)
    WHERE id = $1)"};

Instant idle_end(Instant now, Instant absolute_end) {
    return std::min(absolute_end, now + guc::session_idle_timeout * one_second);
}

struct Refreshed {
    const char *error = nullptr;
    Uuid user_id;
    RefreshToken token;
    Proof proof;
};

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> found;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        found.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return found;
}

Refreshed refuse(const char *error) {
    Refreshed refused;
    refused.error = error;
    return refused;
}

Refreshed end_for_reuse(const Uuid &user_id, const RefreshToken &token, std::uint32_t generation) {
    end_sessions(user_id, {.only = token.session_id}, "refresh_token_reused");
    end_pending(user_id);
    const std::string data = json::Object()
                                 .add("session_id", token.session_id)
                                 .add("generation", std::int64_t{token.generation})
                                 .add("current_generation", std::int64_t{generation})
                                 .text();
    record({"session.refresh_reused", data, "critical", "denied"}, user_id);
    return refuse("refresh_token_reused");
}

Refreshed refresh(std::string_view text, const Origin &origin) {
    const std::optional<RefreshToken> token = parse_refresh_token(text);
    if (!token) return refuse("invalid_refresh_token");
    const pg::Rows rows = lock_session.run({pg::uuid(token->session_id)});
    if (rows.empty()) return refuse("invalid_refresh_token");
    const pg::Row row = rows.front();
    const Uuid user_id = row.uuid(0);
    const auto generation = static_cast<std::uint32_t>(row.int4(2));
    const auto step = static_cast<std::uint32_t>(row.int4(3));
    const std::string rotation_key = row.string(6);
    const RefreshStanding standing = standing_of(*token, generation, row.text(4), rotation_key);
    if (standing == RefreshStanding::forged) return refuse("invalid_refresh_token");

    const Instant now = pg::clock_time();
    if (row.text(1) == "revoked" || !row.boolean(10)) return refuse("session_revoked");
    if (row.text(1) == "expired") return refuse("session_expired");
    if (now >= row.time(8)) {
        expire_session(user_id, token->session_id);
        return refuse("session_expired");
    }

    Refreshed refreshed;
    refreshed.user_id = user_id;
    refreshed.proof = {row.int4(11), words(row.text(12))};
    if (standing == RefreshStanding::current) {
        refreshed.token = successor(*token, rotation_key, step);
        const std::string parent_hash(row.text(4)), new_hash = refresh_token_hash(refreshed.token);
        rotate.run({pg::uuid(token->session_id), pg::int4(static_cast<std::int32_t>(refreshed.token.generation)),
                    pg::bytea(new_hash), step == 1 ? pg::bytea(parent_hash) : pg::null(BYTEAOID), pg::timestamptz(now),
                    pg::timestamptz(idle_end(now, row.time(9))), pg::inet_or_null(origin.address),
                    pg::text_unless_empty(origin.agent)});
    } else {
        // parent_token_hash is NULL after a skipped generation: then nothing is the parent.
        const bool is_parent = standing == RefreshStanding::parent && !row.is_null(5);
        const auto mode = guc::refresh_reuse();
        const bool in_grace = mode == guc::RefreshReuse::grace &&
                              now - row.optional_time(7).value_or(0) <= guc::refresh_grace * one_second;
        if (!is_parent || !(in_grace || mode == guc::RefreshReuse::lenient))
            return end_for_reuse(user_id, *token, generation);
        refreshed.token = successor(*token, rotation_key, 1);
    }
    const std::string data = json::Object()
                                 .add("session_id", token->session_id)
                                 .add("generation", std::int64_t{refreshed.token.generation})
                                 .add("repeated", standing != RefreshStanding::current)
                                 .text();
    record({"session.refreshed", data, "info", "success", token->session_id}, user_id);
    return refreshed;
}
} // namespace

void require_device(std::string_view device) {
    json::Document document;
    if (device.size() > max_device || !document.parse(device) || !document.root().is_object())
        throw Error(errc::invalid_argument, "device must be a JSON object of at most 16 KiB",
                    json::Object().add("argument", "device").text());
}

NewSession start_session(const Uuid &user_id, std::string_view device, const Origin &origin, const Proof &proof) {
    if (guc::max_sessions_per_user > 0)
        end_sessions(user_id, {.but_newest = guc::max_sessions_per_user - 1}, "session_limit");
    RefreshToken token;
    token.session_id = pg::new_uuid();
    token.secret = random_bytes(32);
    const std::string rotation_key = random_bytes(32), hash = refresh_token_hash(token);
    const Instant now = pg::clock_time(), absolute_end = now + guc::session_absolute_timeout * one_second;
    const bool is_new = is_new_device.run({pg::uuid(user_id), pg::jsonb(device), pg::text_unless_empty(origin.agent)})
                            .front()
                            .boolean(0);
    add_session.run({pg::uuid(token.session_id), pg::uuid(user_id), pg::bytea(hash), pg::bytea(rotation_key),
                     pg::jsonb(device), pg::inet_or_null(origin.address), pg::text_unless_empty(origin.agent),
                     pg::text_array(proof.methods), pg::int4(proof.level), pg::timestamptz(now),
                     pg::timestamptz(idle_end(now, absolute_end)), pg::timestamptz(absolute_end)});
    if (is_new) {
        const pg::Rows payload =
            describe_device.run({pg::uuid(user_id), pg::uuid(token.session_id), pg::text_unless_empty(origin.agent),
                                 pg::inet_or_null(origin.address), pg::timestamptz(now)});
        publish("user.new_device", payload.front().string(0), user_id);
    }
    return {token.session_id, format_refresh_token(token)};
}

Proof raise_session(const Uuid &session_id) {
    return {2, words(raise_level.run({pg::uuid(session_id)}).front().text(0))};
}

void skip_generation(const Uuid &session_id) { skip.run({pg::uuid(session_id)}); }

} // namespace usher::identity

using namespace usher;

/// usher.refresh_session(refresh_token)
USHER_FUNCTION(usher_identity_refresh_session) {
    const pg::Args args(fcinfo);
    const identity::Origin origin = identity::request_origin();
    const identity::Refreshed refreshed = identity::refresh(args.text(0), origin);
    pg::RowBuilder row(fcinfo);
    if (refreshed.error != nullptr) return row.set("error", pg::text(refreshed.error)).finish();
    const identity::IssuedToken access = identity::issue_access_token(
        refreshed.user_id, refreshed.token.session_id, access::roles_of(refreshed.user_id), {}, 0, &refreshed.proof);
    const std::string next = format_refresh_token(refreshed.token);
    row.set("user_id", pg::uuid(refreshed.user_id));
    row.set("session_id", pg::uuid(refreshed.token.session_id));
    row.set("access_token", pg::text(access.token));
    row.set("token_type", pg::text("Bearer"));
    row.set("expires_in", pg::int4(static_cast<std::int32_t>(access.expires_in_s)));
    row.set("refresh_token", pg::text(next));
    return row.finish();
}
