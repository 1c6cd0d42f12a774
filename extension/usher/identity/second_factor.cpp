// Second factors as SQL functions: enrolling, confirming, verifying, removing, and the second half of a login.
#include "common/base32.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/json_object.hpp"
#include "common/random.hpp"
#include "pg/args.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/identity/account.hpp"
#include "usher/identity/factors.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/login.hpp"
#include "usher/identity/master_key.hpp"
#include "usher/operations/settings.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
constexpr const char *wrong_code = "wrong_code", *code_reused = "code_reused";
constexpr std::size_t max_label = 100;

constinit pg::Statement lock_user{"SELECT FROM usher.users WHERE id = $1 FOR NO KEY UPDATE"};
constinit pg::Statement drop_pending{"DELETE FROM usher.second_factors WHERE user_id = $1 AND confirmed_at IS NULL"};
constinit pg::Statement count_factors{"SELECT count(*) FROM usher.second_factors WHERE user_id = $1"};
constinit pg::Statement add_factor{
    "INSERT INTO usher.second_factors (id, user_id, label, secret) VALUES ($1, $2, $3, $4)"};
constinit pg::Statement find_state{
    "SELECT confirmed_at IS NOT NULL FROM usher.second_factors WHERE id = $1 AND user_id = $2"};
constinit pg::Statement confirm{R"(
    UPDATE usher.second_factors SET confirmed_at = clock_timestamp() WHERE id = $1 AND confirmed_at IS NULL)"};
constinit pg::Statement drop_factor{"DELETE FROM usher.second_factors WHERE id = $1"};
constinit pg::Statement drop_all{"DELETE FROM usher.second_factors WHERE user_id = $1"};

constinit pg::Statement find_challenge{R"(
    SELECT id, user_id, device::text, array_to_string(authentication_methods, ' '), password_changed_at,
           used_at IS NULL, expires_at > clock_timestamp()
    FROM usher.login_challenges
    WHERE token_hash = $1)"};
constinit pg::Statement use_challenge{R"(
    UPDATE usher.login_challenges
    SET used_at = clock_timestamp()
    WHERE id = $1 AND used_at IS NULL AND expires_at > clock_timestamp())"};

/// The user of the current session, never an API key.
struct Person {
    Account account;
    Origin origin;
    std::optional<Uuid> session_id;
};

Person current_person() {
    const request::Identity &who = request::require_person();
    return {require_account(who.user_id), request_origin(),
            who.has_session ? std::optional(who.session_id) : std::nullopt};
}

[[noreturn]] void refuse_unknown_factor(const Uuid &factor_id) {
    throw Error(
        errc::unknown_reference, "second factor does not exist",
        json::Object().add("factor_id", factor_id).add("reference", "second_factor").add("id", factor_id).text());
}

/// Wrong, used, and locked look the same.
const char *code_error(const Verdict &verdict) {
    if (verdict.is_busy()) return "busy";
    return verdict.is_lock() && guc::reveal_lockout ? "account_locked" : "invalid_code";
}

void set_refusal(pg::RowBuilder &row, const Verdict &verdict) {
    row.set("error", pg::text(code_error(verdict)));
    if (const std::int64_t seconds = public_retry_after(verdict); seconds > 0)
        row.set("retry_after", pg::int4(static_cast<std::int32_t>(seconds)));
}

/// Evaluates a code and uses it up. A code that was right once costs nothing but does not count either.
template <class Find> Verdict evaluate_and_use(const Account &account, const Origin &origin, Find &&find) {
    FoundCode found;
    Verdict verdict = evaluate_code(account, origin, wrong_code, [&] {
        found = find();
        return found.kind != FoundCode::Kind::nothing;
    });
    if (verdict.is_right() && !use_code(found)) verdict.refusal = code_reused;
    return verdict;
}

Verdict check_code(const Account &account, const Origin &origin, std::string_view code) {
    return evaluate_and_use(account, origin, [&] { return find_code(account.id, code); });
}

/// check_code() with the traces that an attempt leaves, for functions that need a code of the current user.
Verdict prove(const Person &person, std::string_view code) {
    const Verdict verdict = check_code(person.account, person.origin, code);
    record_attempt(person.account.email, person.account, person.origin, verdict);
    if (verdict.is_right())
        forget_failures(person.account, person.origin);
    else
        record({"second_factor.refused", json::Object().add("reason", verdict.refusal).text(), "warning", "failure"},
               person.account.id);
    return verdict;
}

void tell(std::string_view event, const Account &account, const Uuid &factor_id) {
    publish(event, json::Object().add("user_id", account.id).add("email", account.email).text(), account.id);
    record({event, json::Object().add("factor_id", factor_id).text(), "notice"}, account.id);
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.enroll_totp(current_password, label)
USHER_FUNCTION(usher_identity_enroll_totp) {
    const pg::Args args(fcinfo);
    const std::string label(trim(args.optional_text(1).value_or("")));
    if (label.size() > identity::max_label)
        throw Error(errc::invalid_argument, "label must have at most 100 bytes", R"({"argument": "label"})");
    const identity::Person person = identity::current_person();
    identity::require_second_factor(person.account.id);
    pg::RowBuilder row(fcinfo);
    if (!person.account.password_hash.empty()) { // a stolen access token must not be enough to lock its owner out
        const identity::Verdict verdict = identity::evaluate_guess(person.account, person.account.email,
                                                                   args.optional_text(0).value_or(""), person.origin);
        identity::record_attempt(person.account.email, person.account, person.origin, verdict);
        if (!verdict.is_right()) return row.set("error", pg::text(identity::public_error(verdict))).finish();
        identity::forget_failures(person.account, person.origin);
    }
    identity::lock_user.run({pg::uuid(person.account.id)});
    identity::drop_pending.run({pg::uuid(person.account.id)});
    if (identity::count_factors.run({pg::uuid(person.account.id)}).front().int8(0) >= identity::max_factors)
        return row.set("error", pg::text("too_many_factors")).finish();

    const Uuid id = pg::new_uuid();
    std::string secret = random_bytes(totp_secret_bytes);
    const std::string stored = identity::store_secret(base64url_encode(secret), "totp:" + to_string(id));
    identity::add_factor.run({pg::uuid(id), pg::uuid(person.account.id), pg::text(label), pg::text(stored)});
    identity::record({"user.second_factor_enrolled", json::Object().add("factor_id", id).text(), "notice"},
                     person.account.id);
    row.set("factor_id", pg::uuid(id));
    row.set("secret", pg::text(base32_encode(secret)));
    row.set("otpauth_uri", pg::text(totp_uri(secret, guc::totp_issuer, person.account.email)));
    wipe(secret);
    return row.finish();
}

/// usher.confirm_totp(factor_id, code)
USHER_FUNCTION(usher_identity_confirm_totp) {
    const pg::Args args(fcinfo);
    const Uuid factor_id = args.uuid(0);
    const std::string_view code = args.text(1);
    const identity::Person person = identity::current_person();
    const pg::Rows state = identity::find_state.run({pg::uuid(factor_id), pg::uuid(person.account.id)});
    if (state.empty() || state.front().boolean(0)) identity::refuse_unknown_factor(factor_id);
    const identity::Verdict verdict = identity::evaluate_and_use(
        person.account, person.origin, [&] { return identity::find_code_of(person.account.id, factor_id, code); });
    identity::record_attempt(person.account.email, person.account, person.origin, verdict);
    pg::RowBuilder row(fcinfo);
    if (!verdict.is_right()) {
        identity::set_refusal(row, verdict);
        return row.finish();
    }
    identity::forget_failures(person.account, person.origin);
    if (identity::confirm.run({pg::uuid(factor_id)}).processed() == 0) identity::refuse_unknown_factor(factor_id);
    identity::after_factor_change(person.account.id);
    if (person.session_id) (void)identity::raise_session(*person.session_id);
    identity::tell("user.second_factor_added", person.account, factor_id);
    if (!person.account.has_second_factor) {
        const std::vector<std::string> codes = identity::renew_recovery_codes(person.account.id);
        row.set("recovery_codes", pg::text_array(codes));
    }
    return row.finish();
}

/// usher.verify_second_factor(code)
USHER_FUNCTION(usher_identity_verify_second_factor) {
    const std::string_view code = pg::Args(fcinfo).text(0);
    const identity::Person person = identity::current_person();
    pg::RowBuilder row(fcinfo);
    if (!person.session_id) throw Error(errc::session_required, "the access token has no session that could be raised");
    if (!person.account.has_second_factor) return row.set("error", pg::text("no_second_factor")).finish();
    const identity::Verdict verdict = identity::prove(person, code);
    if (!verdict.is_right()) {
        identity::set_refusal(row, verdict);
        return row.finish();
    }
    const identity::Proof proof = identity::raise_session(*person.session_id);
    identity::record({"session.raised", json::Object().add("session_id", *person.session_id).text()},
                     person.account.id);
    identity::set_access_token(row, person.account.id, *person.session_id, proof);
    return row.finish();
}

/// usher.regenerate_recovery_codes(code)
USHER_FUNCTION(usher_identity_regenerate_recovery_codes) {
    const std::string_view code = pg::Args(fcinfo).text(0);
    const identity::Person person = identity::current_person();
    pg::RowBuilder row(fcinfo);
    if (!person.account.has_second_factor) return row.set("error", pg::text("no_second_factor")).finish();
    const identity::Verdict verdict = identity::prove(person, code);
    if (!verdict.is_right()) {
        identity::set_refusal(row, verdict);
        return row.finish();
    }
    const std::vector<std::string> codes = identity::renew_recovery_codes(person.account.id);
    identity::record({"user.recovery_codes_renewed", "{}", "notice"}, person.account.id);
    return row.set("recovery_codes", pg::text_array(codes)).finish();
}

/// usher.remove_second_factor(factor_id, code)
USHER_FUNCTION(usher_identity_remove_second_factor) {
    const pg::Args args(fcinfo);
    const Uuid factor_id = args.uuid(0);
    const std::string_view code = args.optional_text(1).value_or("");
    const identity::Person person = identity::current_person();
    const pg::Rows state = identity::find_state.run({pg::uuid(factor_id), pg::uuid(person.account.id)});
    if (state.empty()) identity::refuse_unknown_factor(factor_id);
    pg::RowBuilder row(fcinfo);
    const bool counted = state.front().boolean(0);
    if (counted) {
        const identity::Verdict verdict = identity::prove(person, code);
        if (!verdict.is_right()) {
            identity::set_refusal(row, verdict);
            return row.finish();
        }
    }
    identity::drop_factor.run({pg::uuid(factor_id)});
    if (counted) {
        identity::after_factor_change(person.account.id);
        identity::tell("user.second_factor_removed", person.account, factor_id);
    }
    return row.finish();
}

/// usher.reset_second_factors(user_id)
USHER_FUNCTION(usher_identity_reset_second_factors) {
    const Uuid user_id = pg::Args(fcinfo).uuid(0);
    access::require_power_over(user_id);
    const identity::Account account = identity::require_account(user_id);
    if (identity::drop_all.run({pg::uuid(user_id)}).processed() == 0) return pg::null_result(fcinfo);
    identity::after_factor_change(user_id);
    identity::publish("user.second_factors_reset",
                      json::Object().add("user_id", user_id).add("email", account.email).text(), user_id);
    identity::record({"user.second_factors_reset", "{}", "warning"}, user_id);
    return pg::null_result(fcinfo);
}

/// usher.login_second_factor(challenge, code)
USHER_FUNCTION(usher_identity_login_second_factor) {
    const pg::Args args(fcinfo);
    const std::string_view challenge = trim(args.text(0)).substr(0, 256), code = args.text(1);
    pg::RowBuilder row(fcinfo);
    const std::string hash = sha256_bytes(challenge);
    const pg::Rows rows = identity::find_challenge.run({pg::bytea(hash)});
    if (rows.empty() || !rows.front().boolean(5)) return row.set("error", pg::text("invalid_token")).finish();
    const pg::Row asked = rows.front();
    if (!asked.boolean(6)) return row.set("error", pg::text("token_expired")).finish();
    const std::optional<identity::Account> account = identity::find_account(asked.uuid(1));
    if (!account) return row.set("error", pg::text("invalid_token")).finish();

    const identity::Origin origin = identity::request_origin();
    identity::Verdict verdict = identity::check_code(*account, origin, code);
    const std::string methods = asked.string(3);
    if (verdict.is_right()) {
        const bool held = methods.starts_with("pwd")
                              ? identity::hold_account_with_password(account->id, asked.optional_time(4))
                              : identity::hold_account(account->id);
        if (!held) verdict.refusal = "account_inactive";
    }
    if (verdict.is_right() && identity::use_challenge.run({pg::uuid(asked.uuid(0))}).processed() == 0)
        verdict.refusal = identity::code_reused;
    if (!verdict.is_right()) {
        identity::record_attempt(account->email, account, origin, verdict);
        identity::record_login(account->id, verdict.refusal, std::nullopt);
        identity::set_refusal(row, verdict);
        return row.finish();
    }
    identity::forget_failures(*account, origin);
    identity::Proof proof{2, {methods}};
    if (methods != "otp") proof.methods.emplace_back("otp");
    proof.methods.emplace_back("mfa");
    const Uuid session_id = identity::open_session(row, *account, asked.text(2), origin, proof);
    identity::record_attempt(account->email, account, origin, verdict);
    identity::record_login(account->id, nullptr, session_id);
    return row.finish();
}
