// usher.login(): from a name and a password to a session.
#include "access/access.hpp"
#include "core/json_object.hpp"
#include "identity/guesses.hpp"
#include "identity/passwords.hpp"
#include "identity/sessions.hpp"
#include "identity/tokens.hpp"
#include "pg/args.hpp"
#include "pg/guc.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"

namespace usher::identity {

namespace {
// Hashing took a while: is the account still what it was? KEY SHARE holds off a change of password or of status, which
// takes the rows FOR UPDATE and then ends all sessions that it sees, until this one is committed. Logins do not hold
// off each other.
constinit pg::Statement hold_account{"SELECT FROM usher.users u JOIN usher.credentials c ON c.user_id = u.id"
                                     " WHERE u.id = $1 AND u.status IN ('active', 'pending') AND c.password_changed_at "
                                     "IS NOT DISTINCT FROM $2 FOR KEY SHARE"};
// Neither of these waits: somebody else who logs in at the same time does the same.
constinit pg::Statement renew_hash{
    "UPDATE usher.credentials SET password_hash = $3, updated_at = clock_timestamp() WHERE user_id IN (SELECT c.user_id"
    " FROM usher.credentials c WHERE c.user_id = $1 AND c.password_hash = $2 FOR NO KEY UPDATE SKIP LOCKED)"};
constinit pg::Statement note_login{"UPDATE usher.users SET last_login_at = clock_timestamp() WHERE id IN (SELECT u.id "
                                   "FROM usher.users u WHERE u.id = $1"
                                   " FOR NO KEY UPDATE SKIP LOCKED)"};

void record_login(const std::optional<Account> &account, const Verdict &verdict,
                  const std::optional<Uuid> &session_id) {
    json::Object data;
    if (session_id) data.add("session_id", *session_id);
    if (!verdict.is_right()) data.add("reason", verdict.refusal);
    const std::string text = data.text();
    if (verdict.is_right())
        record({"login.succeeded", text}, account->id);
    else
        record({"login.failed", text, "warning", "failure"}, account ? std::optional(account->id) : std::nullopt);
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.login(identifier, password, device)
USHER_FUNCTION(usher_identity_login) {
    const pg::Args args(fcinfo);
    const std::string_view name = args.text(0), password = args.text(1);
    const std::string device = args.optional_output(2).value_or("{}");
    identity::require_device(device);
    const identity::Origin origin = identity::request_origin();
    const std::optional<identity::Account> account = identity::find_account(name);

    identity::Verdict verdict = identity::evaluate_guess(account, name, password, origin);
    if (verdict.is_right()) {
        if (identity::hold_account.run({pg::uuid(account->id), pg::timestamptz_or_null(account->password_changed_at)})
                .empty())
            verdict.refusal = "account_inactive";
        else if (guc::require_verified_email && !account->email_verified)
            verdict.refusal = "email_not_verified";
    }
    pg::RowBuilder row(fcinfo);
    if (!verdict.is_right()) {
        const bool unverified = std::string_view(verdict.refusal) == "email_not_verified";
        if (unverified) identity::forget_failures(*account, origin); // the password was right
        identity::record_attempt(name, account, origin, verdict);
        identity::record_login(account, verdict, std::nullopt);
        row.set("error", pg::text(unverified ? "email_not_verified" : identity::public_error(verdict)));
        if (const std::int64_t seconds = identity::public_retry_after(verdict); seconds > 0)
            row.set("retry_after", pg::int4(static_cast<std::int32_t>(seconds)));
        return row.finish();
    }

    identity::forget_failures(*account, origin);
    if (verdict.needs_rehash) {
        const std::string hash = identity::hash_new_password(password);
        identity::renew_hash.run({pg::uuid(account->id), pg::text(account->password_hash), pg::text(hash)});
    }
    const identity::NewSession session = identity::start_session(account->id, device, origin, {"pwd"});
    const identity::IssuedToken token =
        identity::issue_access_token(account->id, session.id, access::roles_of(account->id));
    identity::note_login.run({pg::uuid(account->id)});
    identity::record_attempt(name, account, origin, verdict);
    identity::record_login(account, verdict, session.id);

    row.set("user_id", pg::uuid(account->id));
    row.set("session_id", pg::uuid(session.id));
    row.set("access_token", pg::text(token.token));
    row.set("token_type", pg::text("Bearer"));
    row.set("expires_in", pg::int4(static_cast<std::int32_t>(token.expires_in_s)));
    row.set("refresh_token", pg::text(session.refresh_token));
    return row.finish();
}
