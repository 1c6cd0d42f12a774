#include "request/identity.hpp"
#include "core/error.hpp"
#include "identity/tokens.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include "pg/xact.hpp"

namespace usher::request {

namespace {
constinit pg::TransactionLocal<Identity> identity;
constinit pg::Invalidation session_changes{"sessions_inval"};

constinit pg::Statement find_session{"SELECT s.status = 'active' AND s.expires_at > pg_catalog.statement_timestamp()"
                                     " FROM usher.sessions s WHERE s.id = $1 AND s.user_id = $2",
                                     pg::Access::latest};
constinit pg::Statement find_user{"SELECT u.is_active FROM usher.users u WHERE u.id = $1", pg::Access::latest};

// What is committed now counts, also under REPEATABLE READ: a thief's long transaction ends when the session does.
bool is_alive(const Identity &who) {
    const pg::AsOwner owner;
    const pg::Rows rows = who.has_session ? find_session.run({pg::uuid(who.session_id), pg::uuid(who.user_id)})
                                          : find_user.run({pg::uuid(who.user_id)});
    return !rows.empty() && rows.front().boolean(0);
}
} // namespace

const Identity *current() {
    Identity *const who = identity.get();
    if (who == nullptr || who->revoked || pg::statement_time() >= who->expires_at) return nullptr;
    const std::uint64_t now = session_changes.generation();
    if (who->checked != now) {
        who->revoked = !is_alive(*who);
        who->checked = now;
    }
    return who->revoked ? nullptr : who;
}

bool is_lost() { return identity.get() != nullptr && current() == nullptr; }

const Identity &require() {
    if (const Identity *const who = current()) return *who;
    throw Error(errc::authentication_required, "no valid identity", {},
                "Call usher.authenticate() with an access token in this transaction.");
}

void forget() {
    Identity nobody{};
    nobody.revoked = true;
    identity.set(nobody);
}

std::string authenticate(std::string_view access_token) {
    const identity::CheckedToken token = identity::check_token(access_token);
    if (!token.ok()) return token.error;
    Identity who;
    who.user_id = token.user_id;
    who.has_session = token.session_id.has_value();
    who.session_id = token.session_id.value_or(Uuid{});
    who.expires_at = token.expires_at;
    who.checked = session_changes.generation(); // before the look: a change in between is looked at again
    who.claims = pg::keep_for_transaction(token.claims);
    if (!is_alive(who)) return "token_revoked";
    identity.set(who);
    return {};
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

// In a policy this runs for every row: the answer points into the identity, which lives as long as the transaction.
USHER_FUNCTION(usher_request_current_user_id) {
    const request::Identity *const who = request::current();
    return who == nullptr ? pg::null_result(fcinfo) : PointerGetDatum(who->user_id.bytes.data());
}

USHER_FUNCTION(usher_request_current_session_id) {
    const request::Identity *const who = request::current();
    return who == nullptr || !who->has_session ? pg::null_result(fcinfo) : pg::result(pg::uuid(who->session_id));
}

USHER_FUNCTION(usher_request_current_claims) {
    const request::Identity *const who = request::current();
    return who == nullptr ? pg::null_result(fcinfo) : pg::result(pg::jsonb(who->claims));
}
