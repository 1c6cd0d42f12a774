// usher.login(): from a name and a password to a session, or to the question for the second factor.
#include "usher/identity/login.hpp"
#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "common/random.hpp"
#include "pg/args.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/hash_turns.hpp"
#include "usher/identity/passwords.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {
// Hashing took a while: is the account still what it was? KEY SHARE holds off a change of password or of status, which
// takes the rows FOR UPDATE and then ends all sessions that it sees, until this one is committed. Logins do not hold
// off each other.
constinit pg::Statement hold_user{
    "SELECT FROM usher.users u WHERE u.id = $1 AND u.status IN ('active', 'pending') FOR KEY SHARE"};
constinit pg::Statement hold_both{R"(
    SELECT FROM usher.users u JOIN usher.credentials c ON c.user_id = u.id
    WHERE u.id = $1 AND u.status IN ('active', 'pending') AND c.password_changed_at IS NOT DISTINCT FROM $2
    FOR KEY SHARE)"};
// Neither of these waits: somebody else who logs in at the same time does the same.
constinit pg::Statement renew_hash{R"(
    UPDATE usher.credentials
    SET password_hash = $3, updated_at = clock_timestamp()
    WHERE user_id IN (SELECT c.user_id FROM usher.credentials c
                      WHERE c.user_id = $1 AND c.password_hash = $2 FOR NO KEY UPDATE SKIP LOCKED))"};
constinit pg::Statement note_login{R"(
    UPDATE usher.users
    SET last_login_at = clock_timestamp()
    WHERE id IN (SELECT u.id FROM usher.users u WHERE u.id = $1 FOR NO KEY UPDATE SKIP LOCKED))"};
constinit pg::Statement add_challenge{R"(
    INSERT INTO usher.login_challenges (user_id, token_hash, authentication_methods, device, password_changed_at,
                                        client_ip, user_agent, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8))"};

/// Replaces a weaker or foreign hash while the password is at hand. A login does not fail for want of a turn to hash:
/// the next one does it.
void renew_password_hash(const Account &account, std::string_view password) {
    const HashTurn turn;
    if (!turn) return;
    const std::string hash = hash_new_password(password);
    renew_hash.run({pg::uuid(account.id), pg::text(account.password_hash), pg::text(hash)});
}
} // namespace

bool hold_account(const Uuid &user_id) { return !hold_user.run({pg::uuid(user_id)}).empty(); }

bool hold_account_with_password(const Uuid &user_id, const std::optional<Instant> &password_changed_at) {
    return !hold_both.run({pg::uuid(user_id), pg::timestamptz_or_null(password_changed_at)}).empty();
}

void record_login(const std::optional<Uuid> &user_id, const char *refusal, const std::optional<Uuid> &session_id) {
    json::Object data;
    if (session_id) data.add("session_id", *session_id);
    if (refusal != nullptr) data.add("reason", refusal);
    const std::string text = data.text();
    if (refusal == nullptr)
        record({"login.succeeded", text, "info", "success", session_id}, user_id);
    else
        record({"login.failed", text, "warning", "failure"}, user_id);
}

void set_access_token(pg::RowBuilder &row, const Uuid &user_id, const Uuid &session_id, const Proof &proof) {
    const IssuedToken token = issue_access_token(user_id, session_id, access::roles_of(user_id), {}, 0, &proof);
    row.set("access_token", pg::text(token.token));
    row.set("token_type", pg::text("Bearer"));
    row.set("expires_in", pg::int4(static_cast<std::int32_t>(token.expires_in_s)));
}

Uuid open_session(pg::RowBuilder &row, const Account &account, std::string_view device, const Origin &origin,
                  const Proof &proof) {
    const NewSession session = start_session(account.id, device, origin, proof);
    set_access_token(row, account.id, session.id, proof);
    note_login.run({pg::uuid(account.id)});
    row.set("user_id", pg::uuid(account.id));
    row.set("session_id", pg::uuid(session.id));
    row.set("refresh_token", pg::text(session.refresh_token));
    return session.id;
}

void ask_second_factor(pg::RowBuilder &row, const Account &account, std::string_view device, const Origin &origin,
                       const std::vector<std::string> &methods) {
    const std::string challenge = random_token(), hash = sha256_bytes(challenge);
    const Instant expires_at = pg::clock_time() + guc::second_factor_ttl * one_second;
    add_challenge.run({pg::uuid(account.id), pg::bytea(hash), pg::text_array(methods), pg::jsonb(device),
                       pg::timestamptz_or_null(account.password_changed_at), pg::inet_or_null(origin.address),
                       pg::text_unless_empty(origin.agent), pg::timestamptz(expires_at)});
    record({"login.second_factor_required"}, account.id);
    row.set("error", pg::text("second_factor_required"));
    row.set("challenge", pg::text(challenge));
}

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
        if (!identity::hold_account_with_password(account->id, account->password_changed_at))
            verdict.refusal = "account_inactive";
        else if (guc::require_verified_email && !account->email_verified)
            verdict.refusal = "email_not_verified";
    }
    pg::RowBuilder row(fcinfo);
    const std::optional<Uuid> user_id = account ? std::optional(account->id) : std::nullopt;
    if (!verdict.is_right()) {
        const bool unverified = std::string_view(verdict.refusal) == "email_not_verified";
        if (unverified) identity::forget_failures(*account, origin, name); // the password was right
        identity::record_attempt(name, account, origin, verdict);
        identity::record_login(user_id, verdict.refusal, std::nullopt);
        row.set("error", pg::text(unverified ? "email_not_verified" : identity::public_error(verdict)));
        if (const std::int64_t seconds = identity::public_retry_after(verdict); seconds > 0)
            row.set("retry_after", pg::int4(static_cast<std::int32_t>(seconds)));
        return row.finish();
    }

    if (verdict.needs_rehash) identity::renew_password_hash(*account, password);
    if (account->has_second_factor) {
        // Failures are not forgotten yet: whoever knows the password only could else guess codes without end.
        identity::ask_second_factor(row, *account, device, origin, {"pwd"});
        verdict.refusal = "second_factor_required";
        identity::record_attempt(name, account, origin, verdict);
        return row.finish();
    }
    identity::forget_failures(*account, origin, name);
    const Uuid session_id = identity::open_session(row, *account, device, origin, {1, {"pwd"}});
    identity::record_attempt(name, account, origin, verdict);
    identity::record_login(user_id, nullptr, session_id);
    return row.finish();
}
