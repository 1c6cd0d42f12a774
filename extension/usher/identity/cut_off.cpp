#include "usher/identity/cut_off.hpp"
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/audit/audit.hpp"
#include "usher/identity/accounts.hpp"
#include "usher/identity/one_time_tokens.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {
// Always in the order of their ids, so that two who end the same sessions wait for each other instead of deadlocking.
constinit pg::Statement lock_chosen{R"(
    SELECT s.id
    FROM usher.sessions s
    WHERE s.user_id = $1 AND s.status = 'active' AND s.id = coalesce($2, s.id) AND s.id IS DISTINCT FROM $3
    ORDER BY s.id FOR NO KEY UPDATE)"};
constinit pg::Statement lock_oldest{R"(
    SELECT s.id
    FROM usher.sessions s
    WHERE s.status = 'active'
      AND s.id IN (SELECT x.id FROM usher.sessions x WHERE x.user_id = $1 AND x.status = 'active'
                     AND x.expires_at > clock_timestamp() ORDER BY x.last_activity_at DESC, x.id DESC OFFSET $2)
    ORDER BY s.id FOR NO KEY UPDATE)"};
constinit pg::Statement revoke{R"(
    UPDATE usher.sessions
    SET status = 'revoked', revoked_at = clock_timestamp(), revoked_reason = $2
    WHERE id = ANY ($1))"};
constinit pg::Statement expire{"UPDATE usher.sessions SET status = 'expired' WHERE id = $1"};
// Those that end with nobody there to see it. Their end was known from the beginning: no event. No index has the end,
// which every refresh changes: of many sessions, some are looked at each time.
constinit pg::Statement expire_due{R"(
    UPDATE usher.sessions
    SET status = 'expired'
    WHERE id IN (SELECT x.id FROM usher.sessions x TABLESAMPLE SYSTEM (usher.sample_percent('usher.sessions', $1))
                 WHERE x.status = 'active' AND x.expires_at <= now()
                 LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED))"};

constinit pg::Statement end_challenges{"DELETE FROM usher.login_challenges WHERE user_id = $1"};
constinit pg::Statement end_enrolments{"DELETE FROM usher.second_factors WHERE user_id = $1 AND confirmed_at IS NULL"};
constinit pg::Statement lock_keys{R"(
    SELECT k.id
    FROM usher.api_keys k
    WHERE k.user_id = $1 AND k.revoked_at IS NULL ORDER BY k.id FOR NO KEY UPDATE)"};
constinit pg::Statement revoke_key{
    "UPDATE usher.api_keys SET revoked_at = clock_timestamp(), revoked_reason = $2 WHERE id = $1"};

void end_api_keys(const Uuid &user_id, std::string_view reason) {
    const pg::Rows keys = lock_keys.run({pg::uuid(user_id)});
    const std::string data = json::Object().add("user_id", user_id).add("reason", reason).text();
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::string id = to_string(keys[i].uuid(0));
        audit::Event event;
        event.event_type = "api_key.revoked";
        event.data = data;
        event.severity = "notice";
        event.resource_type = "api_key";
        event.resource_id = id;
        event.source = "application";
        (void)audit::log_event(event);
        revoke_key.run({pg::uuid(keys[i].uuid(0)), pg::text(reason)});
    }
}

bool ends_api_keys(Occasion occasion) {
    switch (guc::cut_off_api_keys()) {
    case guc::CutOffApiKeys::never: return false;
    case guc::CutOffApiKeys::recovery: return occasion == Occasion::recovery;
    case guc::CutOffApiKeys::always: break;
    }
    return true;
}

pg::Rows lock_sessions(const Uuid &user_id, const SessionChoice &choice) {
    if (choice.but_newest) return lock_oldest.run({pg::uuid(user_id), pg::int8(*choice.but_newest)});
    return lock_chosen.run({pg::uuid(user_id), pg::uuid_or_null(choice.only), pg::uuid_or_null(choice.except)});
}
} // namespace

int end_sessions(const Uuid &user_id, const SessionChoice &choice, std::string_view reason) {
    const pg::Rows rows = lock_sessions(user_id, choice);
    if (rows.empty()) return 0;
    const std::string data = json::Object().add("user_id", user_id).add("reason", reason).text();
    std::vector<Uuid> ids;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        ids.push_back(rows[i].uuid(0));
        const std::string id = to_string(ids.back());
        audit::Event event;
        event.event_type = "session.revoked";
        event.data = data;
        event.resource_type = "session";
        event.resource_id = id;
        event.source = "application";
        (void)audit::log_event(event); // before it happens: who ends their own session is nobody afterwards
    }
    revoke.run({pg::uuid_array(ids), pg::text(reason)});
    return static_cast<int>(ids.size());
}

void expire_session(const Uuid &user_id, const Uuid &session_id) {
    expire.run({pg::uuid(session_id)});
    record({"session.expired", json::Object().add("session_id", session_id).text()}, user_id);
}

void end_pending(const Uuid &user_id) {
    end_one_time_tokens(user_id, nullptr);
    end_challenges.run({pg::uuid(user_id)});
    end_enrolments.run({pg::uuid(user_id)});
}

int cut_off(const Uuid &user_id, std::string_view reason, Occasion occasion, const std::optional<Uuid> &kept_session) {
    end_pending(user_id);
    if (ends_api_keys(occasion)) end_api_keys(user_id, reason);
    return end_sessions(user_id, {.except = kept_session}, reason);
}

} // namespace usher::identity

using namespace usher;

/// usher._end_sessions(user_id, session_id, except_session, reason)
USHER_FUNCTION(usher_identity_end_sessions) {
    const pg::Args args(fcinfo);
    const identity::SessionChoice choice{.only = args.optional_uuid(1), .except = args.optional_uuid(2)};
    return pg::result(pg::int4(identity::end_sessions(args.uuid(0), choice, args.text(3))));
}

/// usher._expire_sessions(max_rows)
USHER_FUNCTION(usher_identity_expire_sessions) {
    const pg::Rows done = identity::expire_due.run({pg::int4(pg::Args(fcinfo).int4(0))});
    return pg::result(pg::int8(static_cast<std::int64_t>(done.processed())));
}

/// usher._end_pending(user_id)
USHER_FUNCTION(usher_identity_end_pending) {
    identity::end_pending(pg::Args(fcinfo).uuid(0));
    return pg::null_result(fcinfo);
}

/// usher._cut_off(user_id, reason, is_recovery, kept_session)
USHER_FUNCTION(usher_identity_cut_off) {
    const pg::Args args(fcinfo);
    const auto occasion = args.boolean(2) ? identity::Occasion::recovery : identity::Occasion::precaution;
    return pg::result(pg::int4(identity::cut_off(args.uuid(0), args.text(1), occasion, args.optional_uuid(3))));
}
