// Proving e-mail addresses: verification, reset requests, change of address.
#include "usher/identity/email.hpp"
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/subxact.hpp"
#include "usher/access/access.hpp"
#include "usher/identity/constant_time.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/mailbox.hpp"
#include "usher/identity/names.hpp"
#include "usher/identity/one_time_tokens.hpp"
#include "usher/operations/settings.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
constinit pg::Statement count_recent{R"(
    SELECT count(*)
    FROM usher.one_time_tokens
    WHERE user_id = $1 AND purpose = $2 AND created_at > clock_timestamp() - interval '1 hour')"};
constinit pg::Statement change_address{R"(
    UPDATE usher.users
    SET email = $2, email_verified_at = clock_timestamp(),
        status = CASE status WHEN 'pending' THEN 'active' ELSE status END
    WHERE id = $1 AND status IN ('pending', 'active'))"};
constinit pg::Statement find_address{"SELECT FROM usher.users WHERE usher.name_key(email::text) = usher.name_key($1)"};

/// For the forms that anybody may fill in: an event, if there is somebody to mail.
void request_token(std::string_view email, const char *purpose, std::string_view event, bool only_unverified) {
    const ConstantTime time;
    const std::optional<Account> account = find_account_by_email(email);
    const bool eligible = account && account->may_log_in() && !(only_unverified && account->email_verified);
    const bool limited = eligible && !may_be_mailed(account->id, purpose);
    if (eligible && !limited) issue_one_time_token(account->id, purpose, account->email, event);
    const std::string data = json::Object().add("mailed", eligible && !limited).add("limited", limited).text();
    record({event, data, "info", eligible && !limited ? "success" : "failure"},
           account ? std::optional(account->id) : std::nullopt);
    time.wait();
}

using Password = std::optional<std::string_view>;

/// Whoever reads the new mailbox may not be who asked for the change: a stranger may have named somebody else's. So the
/// change needs the account's own session or password as well.
const char *refuse_change(const Account &account, const Password &password) {
    if (is_in_person(account.id)) return nullptr;
    if (!password) return "password_required";
    const Origin origin = request_origin();
    const Verdict verdict = evaluate_guess(account, account.email, *password, origin);
    record_attempt(account.email, account, origin, verdict);
    if (verdict.is_right()) forget_failures(account, origin);
    return public_error(verdict);
}

const char *change_to(const OneTimeToken &token, const Account &account) {
    const std::string from = account.email, to = token.email;
    const pg::Refusal refusal = pg::attempt([&] { change_address.run({pg::uuid(token.user_id), pg::text(to)}); });
    if (refusal && refusal.sqlstate() == "23505") return "email_taken";
    if (refusal) throw Error(refusal.sqlstate(), "could not change the e-mail address");
    const std::string payload =
        json::Object().add("user_id", token.user_id).add("email", to).add("former_email", from).text();
    publish("user.email_changed", payload, token.user_id);
    record({"user.email_changed", "{}", "notice"}, token.user_id);
    return nullptr;
}

/// The second half of an address change, and every verification. The address is whatever the token was sent to. What is
/// refused for want of the right password does not cost the token.
const char *accept_address(std::string_view secret, const Password &password, OneTimeToken &token) {
    const std::vector<std::string> purposes{purpose::email_verification, purpose::email_change};
    token = find_one_time_token(secret, purposes);
    if (token.error != nullptr) return token.error;
    const std::optional<Account> account = find_account(token.user_id);
    if (!account || !account->may_log_in()) return "invalid_token";
    const bool is_change = token.purpose == purpose::email_change;
    Claim claim;
    if (is_change) {
        if (const char *const error = refuse_change(*account, password)) return error;
    } else {
        claim = weigh_claim(*account, password, token.registration);
        if (claim.error != nullptr) return claim.error;
    }
    token = use_one_time_token(secret, purposes);
    if (token.error != nullptr) return token.error;
    if (is_change) return change_to(token, *account);
    return prove_mailbox(token.user_id, token.email, claim) ? nullptr : "invalid_token";
}

std::string create_token(const Uuid &user_id, const char *purpose, std::string_view audit_type) {
    access::require_power_over(user_id);
    const Account account = require_account(user_id);
    if (!account.may_log_in())
        throw Error(errc::unknown_reference, "user is not active",
                    json::Object().add("user_id", user_id).add("reference", "user").add("id", user_id).text());
    std::string token = issue_one_time_token(user_id, purpose, account.email);
    record({audit_type, "{}", "notice"}, user_id);
    return token;
}
} // namespace

bool may_be_mailed(const Uuid &user_id, const char *purpose) {
    return count_recent.run({pg::uuid(user_id), pg::text(purpose)}).front().int8(0) < guc::one_time_tokens_per_hour;
}

} // namespace usher::identity

using namespace usher;

/// usher.request_password_reset(email)
USHER_FUNCTION(usher_identity_request_password_reset) {
    const pg::Args args(fcinfo);
    identity::request_token(args.text(0), identity::purpose::password_reset, "user.password_reset_requested", false);
    return pg::null_result(fcinfo);
}

/// usher.request_email_verification(email)
USHER_FUNCTION(usher_identity_request_email_verification) {
    const pg::Args args(fcinfo);
    identity::request_token(args.text(0), identity::purpose::email_verification, "user.email_verification_requested",
                            true);
    return pg::null_result(fcinfo);
}

/// usher.create_password_reset(user_id)
USHER_FUNCTION(usher_identity_create_password_reset) {
    const std::string token = identity::create_token(pg::Args(fcinfo).uuid(0), identity::purpose::password_reset,
                                                     "user.password_reset_created");
    return pg::result(pg::text(token));
}

/// usher.create_email_verification(user_id)
USHER_FUNCTION(usher_identity_create_email_verification) {
    const std::string token = identity::create_token(pg::Args(fcinfo).uuid(0), identity::purpose::email_verification,
                                                     "user.email_verification_created");
    return pg::result(pg::text(token));
}

/// usher.verify_email(token, password)
USHER_FUNCTION(usher_identity_verify_email) {
    const pg::Args args(fcinfo);
    identity::OneTimeToken token;
    const char *const error = identity::accept_address(args.text(0), args.optional_text(1), token);
    pg::RowBuilder row(fcinfo);
    if (error != nullptr) return row.set("error", pg::text(error)).finish();
    return row.set("user_id", pg::uuid(token.user_id)).finish();
}

/// usher.request_email_change(new_email, current_password)
USHER_FUNCTION(usher_identity_request_email_change) {
    const pg::Args args(fcinfo);
    const std::optional<std::string> new_email = normalize_email(args.text(0));
    const std::string_view password = args.text(1);
    const identity::Account account = identity::require_account(request::require_person().user_id);
    if (!new_email) return pg::result(pg::text("invalid_email"));
    const identity::Origin origin = identity::request_origin();
    const identity::Verdict verdict = identity::evaluate_guess(account, account.email, password, origin);
    identity::record_attempt(account.email, account, origin, verdict);
    if (!verdict.is_right()) return pg::result(pg::text(identity::public_error(verdict)));
    identity::forget_failures(account, origin);
    const identity::ConstantTime time;
    // A taken address gets no token, and its owner no mail; the caller cannot tell.
    const bool taken = !identity::find_address.run({pg::text(*new_email)}).empty();
    if (!taken && identity::may_be_mailed(account.id, identity::purpose::email_change))
        identity::issue_one_time_token(account.id, identity::purpose::email_change, *new_email,
                                       "user.email_change_requested");
    identity::record({"user.email_change_requested"}, account.id);
    time.wait();
    return pg::null_result(fcinfo);
}
