// Six-digit codes by mail: to log in without a password, and to verify an address where a link is no good (another
// device). A code has a million values, so what matters is that it dies after five wrong tries, whatever becomes of the
// transactions they were made in.
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include "common/json_object.hpp"
#include "common/random.hpp"
#include "pg/args.hpp"
#include "pg/spi.hpp"
#include "usher/identity/account.hpp"
#include "usher/identity/constant_time.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/login.hpp"
#include "usher/identity/mailbox.hpp"
#include "usher/identity/master_key.hpp"
#include "usher/identity/passwords.hpp"
#include "usher/identity/shared_guesses.hpp"
#include "usher/identity/totp.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {
constexpr int digits_of_code = 6;
constexpr std::int32_t max_wrong_tries = 5;
constexpr const char *for_login = "login", *for_verification = "email_verification";

constinit pg::Statement find_key{"SELECT secret FROM usher.server_secrets WHERE name = 'one_time_codes'"};
constinit pg::Statement add_key{
    "INSERT INTO usher.server_secrets (name, secret) VALUES ('one_time_codes', $1) ON CONFLICT DO NOTHING"};

// Two requests at the same time: the second waits here, then ends the code of the first.
constinit pg::Statement lock_user{"SELECT FROM usher.users WHERE id = $1 FOR NO KEY UPDATE"};
constinit pg::Statement end_open{"SELECT usher._end_one_time_codes($1, $2)"};
constinit pg::Statement count_recent{R"(
    SELECT count(*)
    FROM usher.one_time_codes
    WHERE user_id = $1 AND purpose = $2 AND created_at > clock_timestamp() - interval '1 hour')"};
constinit pg::Statement event_payload{
    "SELECT jsonb_build_object('user_id', $1, 'email', $2, 'code', $3, 'expires_at', $4)::text", pg::Access::read};
constinit pg::Statement add_code{R"(
    INSERT INTO usher.one_time_codes (id, user_id, purpose, code_hmac, email, event_id, client_ip,
                                      user_agent, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};

// Tries of one code are made one after the other: the lock is the code's, not the account's.
constinit pg::Statement lock_code{R"(
    SELECT id, wrong_tries, event_id
    FROM usher.one_time_codes
    WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL AND ended_at IS NULL FOR NO KEY UPDATE)"};
constinit pg::Statement use_code_row{R"(
    UPDATE usher.one_time_codes
    SET used_at = clock_timestamp()
    WHERE id = $1 AND code_hmac = $2 AND usher.name_key(email) = usher.name_key($3) AND used_at IS NULL AND ended_at IS NULL
      AND expires_at > clock_timestamp() AND wrong_tries + $4 < $5)"};
constinit pg::Statement count_try{
    "UPDATE usher.one_time_codes SET wrong_tries = wrong_tries + 1 WHERE id = $1 RETURNING wrong_tries"};
constinit pg::Statement cut_event{"UPDATE usher.events SET payload = payload - 'code' WHERE id = $1"};

std::string code_key() {
    for (;;) {
        const pg::Rows rows = find_key.run();
        if (!rows.empty()) return open_secret(rows.front().text(0), "server_secret:one_time_codes");
        // Two backends may both come here: one key stays.
        add_key.run({pg::text(store_secret(base64url_encode(random_bytes(32)), "server_secret:one_time_codes"))});
    }
}

/// The row's id goes in: equal codes have different digests.
std::string code_hmac(const Uuid &id, std::string_view code) {
    std::string key = code_key();
    std::string mac = hmac_sha256(key, to_string(id) + ':' + std::string(code));
    wipe(key);
    return mac;
}

void issue_code(const Account &account, const char *purpose, std::string_view event, const Origin &origin) {
    lock_user.run({pg::uuid(account.id)});
    end_open.run({pg::uuid(account.id), pg::text(purpose)});
    const Uuid id = pg::new_uuid();
    std::string code = random_digits(digits_of_code);
    const std::string mac = code_hmac(id, code);
    const Instant expires_at = pg::clock_time() + guc::one_time_code_ttl * one_second;
    const pg::Rows payload =
        event_payload.run({pg::uuid(account.id), pg::text(account.email), pg::text(code), pg::timestamptz(expires_at)});
    wipe(code);
    const Uuid event_id = publish(event, payload.front().string(0), account.id);
    add_code.run({pg::uuid(id), pg::uuid(account.id), pg::text(purpose), pg::bytea(mac), pg::text(account.email),
                  pg::uuid(event_id), pg::inet_or_null(origin.address), pg::text_unless_empty(origin.agent),
                  pg::timestamptz(expires_at)});
}

/// For the forms that anybody may fill in: an event, if there is somebody to mail.
void request_code(std::string_view email, const char *purpose, std::string_view event, bool only_unverified) {
    const ConstantTime time;
    const std::optional<Account> account = find_account_by_email(email);
    const bool eligible = account && account->may_log_in() && !(only_unverified && account->email_verified);
    const bool limited = eligible && count_recent.run({pg::uuid(account->id), pg::text(purpose)}).front().int8(0) >=
                                         guc::one_time_tokens_per_hour;
    if (eligible && !limited) issue_code(*account, purpose, event, request_origin());
    const std::string data = json::Object().add("mailed", eligible && !limited).add("limited", limited).text();
    record({event, data, "info", eligible && !limited ? "success" : "failure"},
           account ? std::optional(account->id) : std::nullopt);
    time.wait();
}

/// Uses the code up if it is the open one of the account. A wrong one is counted; the fifth ends the code.
bool try_code(const Account &account, const char *purpose, std::string_view text) {
    const auto digits = normal_digits(text, digits_of_code);
    const pg::Rows rows = lock_code.run({pg::uuid(account.id), pg::text(purpose)});
    if (rows.empty()) return false;
    const Uuid id = rows.front().uuid(0);
    const std::optional<Uuid> event_id = rows.front().optional_uuid(2);
    const std::int32_t unseen = shared_guesses::look(id).failures; // of transactions that were rolled back
    const std::string mac = digits ? code_hmac(id, *digits) : std::string(32, '\0');
    if (use_code_row
            .run({pg::uuid(id), pg::bytea(mac), pg::text(account.email), pg::int4(unseen), pg::int4(max_wrong_tries)})
            .processed() == 1) {
        if (event_id) cut_event.run({pg::uuid(*event_id)});
        return true;
    }
    shared_guesses::count(id); // first in shared memory: that stays, whatever becomes of the row
    if (count_try.run({pg::uuid(id)}).front().int4(0) + unseen >= max_wrong_tries)
        end_open.run({pg::uuid(account.id), pg::text(purpose)});
    return false;
}

/// Why an address and a code are refused; nullptr: they are right, and the code is used up.
const char *check(const std::optional<Account> &account, std::string_view email, const char *purpose,
                  std::string_view code, const Origin &origin) {
    if (is_network_locked(origin)) return "network_locked";
    const char *refusal = nullptr;
    if (!account)
        refusal = "unknown_user";
    else if (!account->may_log_in())
        refusal = "account_inactive";
    else if (!try_code(*account, purpose, code))
        refusal = "wrong_code";
    if (refusal != nullptr) count_network_guess(origin, email);
    return refusal;
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.request_login_code(email)
USHER_FUNCTION(usher_identity_request_login_code) {
    identity::request_code(pg::Args(fcinfo).text(0), identity::for_login, "user.login_code_requested", false);
    return pg::null_result(fcinfo);
}

/// usher.request_verification_code(email)
USHER_FUNCTION(usher_identity_request_verification_code) {
    identity::request_code(pg::Args(fcinfo).text(0), identity::for_verification, "user.verification_code_requested",
                           true);
    return pg::null_result(fcinfo);
}

/// usher.verify_email_code(email, code, password)
USHER_FUNCTION(usher_identity_verify_email_code) {
    const pg::Args args(fcinfo);
    const std::string_view email = trim(args.text(0)), code = args.text(1);
    const std::optional<std::string_view> password = args.optional_text(2);
    const identity::ConstantTime time;
    const identity::Origin origin = identity::request_origin();
    const std::optional<identity::Account> account = identity::find_account_by_email(email);
    pg::RowBuilder row(fcinfo);
    const bool in_person = account && identity::is_in_person(account->id);
    // Before the code is looked at, which is good for one try; and whatever the account, which is not told.
    if (!in_person) {
        const char *const error =
            password ? identity::check_new_password(*password, {email, {}, {}, {}}) : "password_required";
        if (error != nullptr) return row.set("error", pg::text(error)).finish();
    }
    identity::Claim claim;
    const char *error = identity::check(account, email, identity::for_verification, code, origin);
    if (error == nullptr) {
        claim = identity::weigh_claim(*account, password, {});
        error = claim.error;
    }
    if (error != nullptr && claim.error != nullptr)
        row.set("error", pg::text(claim.error));
    else if (error != nullptr || !identity::prove_mailbox(account->id, account->email, claim))
        row.set("error", pg::text("invalid_code"));
    else
        row.set("user_id", pg::uuid(account->id));
    time.wait();
    return row.finish();
}

/// usher.login_with_code(email, code, device)
USHER_FUNCTION(usher_identity_login_with_code) {
    const pg::Args args(fcinfo);
    const std::string_view email = trim(args.text(0)), code = args.text(1);
    const std::string device = args.optional_output(2).value_or("{}");
    identity::require_device(device);
    const identity::ConstantTime time;
    const identity::Origin origin = identity::request_origin();
    std::optional<identity::Account> account = identity::find_account_by_email(email);
    pg::RowBuilder row(fcinfo);
    identity::Verdict verdict{identity::check(account, email, identity::for_login, code, origin)};
    if (verdict.is_right() && !identity::hold_account(account->id)) verdict.refusal = "account_inactive";
    if (!verdict.is_right()) {
        identity::record_attempt(email, account, origin, verdict);
        identity::record_login(account ? std::optional(account->id) : std::nullopt, verdict.refusal, std::nullopt);
        row.set("error", pg::text("invalid_code"));
        time.wait();
        return row.finish();
    }
    if (!account->email_verified) { // the code came by mail
        const identity::Claim claim =
            identity::is_in_person(account->id) ? identity::claim_of_holder() : identity::without_password();
        (void)identity::prove_mailbox(account->id, account->email, claim);
        account = identity::find_account(account->id);
    }
    if (account->has_second_factor) {
        identity::ask_second_factor(row, *account, device, origin, {"otp"});
        verdict.refusal = "second_factor_required";
        identity::record_attempt(email, account, origin, verdict);
    } else {
        const Uuid session_id = identity::open_session(row, *account, device, origin, {1, {"otp"}});
        identity::record_attempt(email, account, origin, verdict);
        identity::record_login(account->id, nullptr, session_id);
    }
    time.wait();
    return row.finish();
}
