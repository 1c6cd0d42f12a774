#include "usher/request/current_identity.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include "pg/xact.hpp"
#include "usher/identity/api_key.hpp"
#include "usher/identity/api_keys.hpp"
#include "usher/identity/tokens.hpp"

namespace usher::request {

namespace {
constinit pg::TransactionLocal<Identity> identity;
constinit pg::Invalidation session_changes{"sessions_inval"};

// By the primary key alone: with user_id among the conditions, a planner that has no statistics yet takes its index,
// and reads all sessions of the user at each call.
constinit pg::Statement find_session{R"(
    SELECT s.user_id OPERATOR(pg_catalog.=) $2 AND s.status OPERATOR(pg_catalog.=) 'active'
      AND s.expires_at OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp(), s.assurance_level::pg_catalog.int4
    FROM usher.sessions s
    WHERE s.id OPERATOR(pg_catalog.=) $1)",
                                     pg::Access::latest};
constinit pg::Statement find_user{"SELECT u.is_active FROM usher.users u WHERE u.id OPERATOR(pg_catalog.=) $1",
                                  pg::Access::latest};

/// A token that client_credentials gave out: its scope, as far as its key has it still.
std::string scope_in_force(const Uuid &key, const Uuid &user, std::string_view claims) {
    const std::string held = identity::permissions_of_key(key, user).value_or("");
    json::Document document;
    if (!document.parse(claims)) return {};
    const auto scope = document.root().find("scope");
    if (!scope || !scope->is_string()) return {};
    const std::string given = scope->as_string();
    std::string kept;
    for (std::string_view left = given; !left.empty();) {
        const std::string_view each = left.substr(0, left.find(' '));
        if (identity::is_covered(held, each)) kept += (kept.empty() ? "" : " ") + std::string(each);
        left.remove_prefix(std::min(each.size() + 1, left.size()));
    }
    return kept;
}

/// What a key, or a token that it was traded for, may do now.
std::string permissions_in_force(const Identity &who) {
    if (who.token_id) return scope_in_force(who.api_key_id, who.user_id, who.claims);
    return identity::permissions_of_key(who.api_key_id, who.user_id).value_or("");
}

// What is committed now counts, also under REPEATABLE READ: a thief's long transaction ends when the session does.
bool is_alive(Identity &who) {
    if (who.token_id && identity::is_token_revoked(*who.token_id)) return false;
    if (who.is_api_key) return permissions_in_force(who) == who.key_permissions;
    if (!who.provider.empty()) {
        const auto linked = identity::find_linked_user(who.provider, who.subject);
        return linked && linked->is_active && linked->id == who.user_id;
    }
    const pg::AsOwner owner;
    if (!who.has_session) {
        const pg::Rows users = find_user.run({pg::uuid(who.user_id)});
        return !users.empty() && users.front().boolean(0);
    }
    const pg::Rows sessions = find_session.run({pg::uuid(who.session_id), pg::uuid(who.user_id)});
    if (sessions.empty() || !sessions.front().boolean(0)) return false;
    who.session_level = sessions.front().int4(1);
    return true;
}

std::string authenticate_api_key(std::string_view text) {
    const std::uint64_t checked = session_changes.generation(); // before the look, as below
    const identity::CheckedApiKey key = identity::check_api_key(text);
    if (key.error != nullptr) return key.error;
    Identity who;
    who.user_id = key.user_id;
    who.is_api_key = true;
    who.api_key_id = key.id;
    who.key_permissions = pg::keep_for_transaction(key.permissions);
    who.is_limited = !identity::is_covered(who.key_permissions, "*:*");
    who.expires_at = key.expires_at;
    who.claims = pg::keep_for_transaction(key.claims);
    who.checked = checked;
    identity.set(who);
    return {};
}

/// The level that a token was issued with: its acr claim, "aal1" or "aal2".
std::int32_t level_of_claims(std::string_view claims) {
    json::Document document;
    if (!document.parse(claims)) return 1;
    const auto acr = document.root().find("acr");
    return acr && acr->equals("aal2") ? 2 : 1;
}
} // namespace

const Identity *find_current() {
    Identity *const who = identity.get();
    if (who == nullptr || who->revoked || pg::statement_time() >= who->expires_at) return nullptr;
    const std::uint64_t now = session_changes.generation();
    const pg::Moment moment = pg::Moment::now();
    if (who->checked != now) {
        who->revoked = !is_alive(*who);
        who->checked = now;
    }
    if (who->revoked) return nullptr;
    known = {moment, who};
    return who;
}

bool is_lost() { return identity.get() != nullptr && current() == nullptr; }

const Identity &require() {
    if (const Identity *const who = current()) return *who;
    throw Error(errc::authentication_required, "no valid identity", {},
                "Call usher.authenticate() with an access token in this transaction.");
}

const Identity &require_person() {
    const Identity &who = require();
    if (who.is_api_key)
        throw Error(errc::session_required, "an API key cannot do this", {},
                    "Log in as the user, or use an access token of a session.");
    return who;
}

bool key_allows(const Uuid &user_id, std::string_view name) {
    const Identity *const who = current();
    return who == nullptr || !who->is_limited || who->user_id != user_id ||
           identity::is_covered(who->key_permissions, name);
}

bool stands_for_whole(const Uuid &user_id) {
    const Identity *const who = current();
    return who == nullptr || !who->is_limited || who->user_id != user_id;
}

void require_whole() {
    if (const Identity *const who = current(); who != nullptr && who->is_limited)
        throw Error(errc::not_permitted, "an API key with *:* is required", R"({"permission": "*:*"})",
                    "What a limited API key changes may not be more than what it may do itself.");
}

std::int32_t assurance_level() {
    const Identity *const who = current();
    if (who == nullptr) return 0;
    return who->has_session ? std::min(who->session_level, level_of_claims(who->claims)) : 1;
}

void forget() {
    Identity nobody{};
    nobody.revoked = true;
    identity.set(nobody);
}

std::string authenticate(std::string_view access_token) {
    if (looks_like_api_key(access_token)) return authenticate_api_key(access_token);
    const identity::CheckedToken token = identity::check_token(access_token);
    if (!token.ok()) return token.error;
    Identity who;
    who.user_id = token.user_id;
    who.has_session = token.session_id.has_value();
    who.session_id = token.session_id.value_or(Uuid{});
    who.expires_at = token.expires_at;
    who.checked = session_changes.generation(); // before the look: a change in between is looked at again
    who.claims = pg::keep_for_transaction(token.claims);
    if (!token.provider.empty()) {
        who.provider = pg::keep_for_transaction(token.provider);
        who.subject = pg::keep_for_transaction(token.subject);
        const auto linked = identity::find_linked_user(who.provider, who.subject);
        if (!linked) return "unknown_subject";
        if (linked->is_active) identity::note_identity_use(*linked);
        who.user_id = linked->id;
    }
    if (who.provider.empty() && !who.has_session) who.token_id = parse_uuid(token.jti);
    if (token.client_id) {
        const std::string scope = scope_in_force(*token.client_id, who.user_id, who.claims);
        if (scope.empty()) return "token_revoked";
        who.is_api_key = true;
        who.api_key_id = *token.client_id;
        who.key_permissions = pg::keep_for_transaction(scope);
        who.is_limited = !identity::is_covered(scope, "*:*");
    }
    if (!is_alive(who)) return "token_revoked";
    identity.set(who);
    return {};
}

bool authenticate_client(std::string_view id, std::string_view secret) {
    if (!looks_like_api_key(secret) || !authenticate_api_key(secret).empty()) return false;
    if (const Identity *const who = current(); who != nullptr && parse_uuid(id) == who->api_key_id) return true;
    forget();
    return false;
}

} // namespace usher::request

using namespace usher;

/// usher.authenticate(access_token)
USHER_FUNCTION(usher_request_authenticate) {
    const pg::Args args(fcinfo);
    const std::string error = args.is_null(0) ? "invalid_token" : request::authenticate(args.text(0));
    if (!error.empty())
        throw Error(errc::authentication_required, "access token is not valid", R"({"code": ")" + error + R"("})");
    return pg::result(pg::uuid(request::require().user_id));
}

namespace {
// In a policy this runs for every row. The answer is a copy that lives as long as the call stands in its expression:
// the caller may keep it longer than the transaction whose identity it is, as the argument of a procedure that commits.
// The copy never changes; who comes next gets another.
Datum lasting_id(FunctionCallInfo fcinfo, const Uuid &id) {
    FmgrInfo &call = *fcinfo->flinfo;
    const auto *const last = static_cast<const pg_uuid_t *>(call.fn_extra);
    if (last != nullptr && std::memcmp(last->data, id.bytes.data(), UUID_LEN) == 0) return UUIDPGetDatum(last);
    auto *const copy = static_cast<pg_uuid_t *>(MemoryContextAlloc(call.fn_mcxt, sizeof(pg_uuid_t)));
    std::memcpy(copy->data, id.bytes.data(), UUID_LEN);
    call.fn_extra = copy;
    return UUIDPGetDatum(copy);
}
} // namespace

/// usher.current_user_id(): who a limited API key belongs to is not told, so that what asks for the user alone is
/// closed to it. A plain frame after the look, as in the next two.
USHER_FUNCTION(usher_request_current_user_id) {
    const request::Identity *const who = request::current();
    return who == nullptr || who->is_limited ? pg::null_result(fcinfo) : lasting_id(fcinfo, who->user_id);
}

/// usher.current_user_id(permission)
USHER_FUNCTION(usher_request_current_user_id_for) {
    const request::Identity *const who = request::current();
    if (who == nullptr || (who->is_limited && !request::key_allows(who->user_id, pg::Args(fcinfo).text(0))))
        return pg::null_result(fcinfo);
    return lasting_id(fcinfo, who->user_id);
}

/// usher.actor_id()
USHER_FUNCTION(usher_request_actor_id) {
    const request::Identity *const who = request::current();
    return who == nullptr ? pg::null_result(fcinfo) : lasting_id(fcinfo, who->user_id);
}

USHER_FUNCTION(usher_request_current_session_id) {
    const request::Identity *const who = request::current();
    return who == nullptr || !who->has_session ? pg::null_result(fcinfo) : pg::result(pg::uuid(who->session_id));
}

USHER_FUNCTION(usher_request_current_claims) {
    const request::Identity *const who = request::current();
    return who == nullptr ? pg::null_result(fcinfo) : pg::result(pg::jsonb(who->claims));
}

USHER_FUNCTION(usher_request_current_api_key_id) {
    const request::Identity *const who = request::current();
    return who == nullptr || !who->is_api_key ? pg::null_result(fcinfo) : pg::result(pg::uuid(who->api_key_id));
}

USHER_FUNCTION(usher_request_current_assurance_level) {
    const std::int32_t level = request::assurance_level();
    return level == 0 ? pg::null_result(fcinfo) : pg::result(pg::int4(level));
}

/// usher.require_assurance_level(level)
USHER_FUNCTION(usher_request_require_assurance_level) {
    const std::int32_t wanted = pg::Args(fcinfo).int4(0);
    if (wanted < 1 || wanted > 2) throw Error(errc::invalid_argument, "level must be 1 or 2");
    (void)request::require();
    if (request::assurance_level() < wanted)
        throw Error(errc::insufficient_user_authentication, "a second factor is required",
                    R"({"acr_values": "aal)" + std::to_string(wanted) + "\"}",
                    "Call usher.verify_second_factor() and use the access token that it returns.");
    return pg::null_result(fcinfo);
}

/// usher._require_whole()
USHER_FUNCTION(usher_request_require_whole) {
    request::require_whole();
    return pg::null_result(fcinfo);
}

/// usher._require_person()
USHER_FUNCTION(usher_request_require_person) { return pg::result(pg::uuid(request::require_person().user_id)); }
