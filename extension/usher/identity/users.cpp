// Registration, and everything that sets a password.
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/identity/account.hpp"
#include "usher/identity/constant_time.hpp"
#include "usher/identity/cut_off.hpp"
#include "usher/identity/email.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/hash_turns.hpp"
#include "usher/identity/mailbox.hpp"
#include "usher/identity/names.hpp"
#include "usher/identity/one_time_tokens.hpp"
#include "usher/identity/passwords.hpp"
#include "usher/identity/sessions.hpp"
#include "usher/operations/settings.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
constexpr std::size_t max_metadata = 65536;

// Every unique index counts: e-mail address and username, by their keys.
constinit pg::Statement add_user{R"(
    INSERT INTO usher.users (id, email, username, first_name, last_name, phone, metadata)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT DO NOTHING
    RETURNING id)"};
constinit pg::Statement publish_hourly{
    "SELECT usher.publish($1, $2, $3, format('%s:%s:%s', $1, $3, date_trunc('hour', clock_timestamp())))"};
constinit pg::Statement email_exists{"SELECT FROM usher.users WHERE usher.name_key(email::text) = usher.name_key($1)"};
constinit pg::Statement add_credentials{R"(
    INSERT INTO usher.credentials (user_id, password_hash, password_changed_at, unproven_profile)
    VALUES ($1, $2, clock_timestamp(), $3))"};
constinit pg::Statement add_default_role{R"(
    INSERT INTO usher.user_roles (user_id, role_id)
    SELECT $1, r.id
    FROM usher.roles r
    WHERE CASE WHEN $2 = '' THEN r.is_default ELSE r.name = $2 END AND r.is_active)"};

// FOR UPDATE waits for logins in flight, which hold the row FOR KEY SHARE: the sessions that they start are ended too.
constinit pg::Statement lock_credentials{"SELECT password_hash FROM usher.credentials WHERE user_id = $1 FOR UPDATE"};
constinit pg::Statement ensure_credentials{
    "INSERT INTO usher.credentials (user_id) VALUES ($1) ON CONFLICT DO NOTHING"};
constinit pg::Statement former_hashes{
    "SELECT password_hash FROM usher.password_history WHERE user_id = $1 ORDER BY replaced_at DESC, id DESC LIMIT $2"};
constinit pg::Statement add_former{"INSERT INTO usher.password_history (user_id, password_hash) VALUES ($1, $2)"};
constinit pg::Statement trim_former{R"(
    DELETE
    FROM usher.password_history
    WHERE user_id = $1
      AND id NOT IN (SELECT h.id FROM usher.password_history h
                     WHERE h.user_id = $1 ORDER BY h.replaced_at DESC, h.id DESC LIMIT $2))"};

PasswordOwner owner_of(const Account &account) {
    return {account.email, account.username, account.first_name, account.last_name};
}

/// Why this password cannot be the next one of the account; nullptr when it can.
const char *refuse_password(const Account &account, std::string_view password) {
    if (const char *const code = check_new_password(password, owner_of(account))) return code;
    if (guc::password_history == 0) return nullptr;
    const pg::Rows rows = former_hashes.run({pg::uuid(account.id), pg::int8(guc::password_history)});
    if (!account.password_hash.empty() && check_password(password, account.password_hash).matches)
        return "password_reused";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        pg::poll();
        if (check_password(password, rows[i].text(0)).matches) return "password_reused";
    }
    return nullptr;
}

void replace_hash(const Account &account, const std::string &hash) {
    ensure_credentials.run({pg::uuid(account.id)});
    const pg::Rows before = lock_credentials.run({pg::uuid(account.id)});
    if (guc::password_history > 0 && !before.empty() && !before.front().is_null(0)) {
        add_former.run({pg::uuid(account.id), pg::text(before.front().text(0))});
        trim_former.run({pg::uuid(account.id), pg::int8(guc::password_history)});
    }
    set_hash(account.id, hash);
}

/// The new password is in force: other sessions and what is pending belong to whoever knew the old one.
void after_new_password(const Account &account, const std::optional<Uuid> &kept_session, std::string_view event) {
    cut_off(account.id, "password_changed", kept_session ? Occasion::precaution : Occasion::recovery, kept_session);
    if (kept_session) skip_generation(*kept_session);
    publish("user.password_changed", json::Object().add("user_id", account.id).add("email", account.email).text(),
            account.id);
    record({event, "{}", "notice"}, account.id);
}

Datum only_error(FunctionCallInfo fcinfo, const char *error) {
    return error == nullptr ? pg::null_result(fcinfo) : pg::result(pg::text(error));
}

struct Registration {
    std::string email, username, first_name, last_name, phone, metadata;
};

/// Why this cannot be an account; nullptr when it can, and then names are in the form in which they are stored.
const char *refuse_registration(Registration &given) {
    const std::optional<std::string> email = normalize_email(given.email),
                                     username = normalize_username(given.username);
    if (!email) return "invalid_email";
    if (!given.username.empty() && !username) return "invalid_username";
    given.email = *email;
    given.username = username.value_or("");
    if (!is_valid_name(given.first_name) || !is_valid_name(given.last_name)) return "invalid_name";
    if (!given.phone.empty() && !is_valid_phone(given.phone)) return "invalid_phone";
    json::Document document;
    if (given.metadata.size() > max_metadata || !document.parse(given.metadata) || !document.root().is_object())
        return "invalid_metadata";
    return nullptr;
}

/// Somebody registers with an address that an account has already. If nobody has proved that mailbox, the mail that
/// goes there lets its owner have the account, with what they entered now.
const char *register_again(const Registration &given, const std::string &hash) {
    const std::optional<Account> account = find_account(given.email);
    if (!account || account->email_verified || !account->may_log_in()) return "email_taken";
    if (may_be_mailed(account->id, purpose::email_verification)) {
        const std::string registration = json::Object()
                                             .add("password_hash", hash)
                                             .add("first_name", given.first_name)
                                             .add("last_name", given.last_name)
                                             .add("username", given.username)
                                             .add("phone", given.phone)
                                             .add_json("metadata", given.metadata)
                                             .text();
        send_email_verification(*account, registration);
    }
    record({"user.registered_again"}, account->id);
    return "email_unverified";
}

/// Did an administrator enter this, who answers for it?
bool is_entered_by_administrator() {
    const request::Identity *const who = request::current();
    return who != nullptr && access::has_permission(who->user_id, "user:manage");
}

/// The account with its password, role and events. An error code instead of an id when a name is taken.
const char *create_account(const Registration &given, const std::string &hash, Uuid &id) {
    id = pg::new_uuid();
    const pg::Rows added = add_user.run({pg::uuid(id), pg::text(given.email), pg::text_unless_empty(given.username),
                                         pg::text(given.first_name), pg::text(given.last_name),
                                         pg::text_unless_empty(given.phone), pg::jsonb(given.metadata)});
    if (added.empty())
        return email_exists.run({pg::text(given.email)}).empty() ? "username_taken" : register_again(given, hash);
    add_credentials.run({pg::uuid(id), pg::text(hash), pg::boolean(!is_entered_by_administrator())});
    if (guc::default_role != nullptr) add_default_role.run({pg::uuid(id), pg::text(guc::default_role)});
    const Account account = require_account(id);
    publish("user.registered", json::Object().add("user_id", id).add("email", account.email).text(), id);
    record({"user.registered"}, id);
    send_email_verification(account);
    return nullptr;
}

/// Checks what was entered, and opens the account. With `is_discreet` what is done after hashing takes the same time
/// whether the address is taken or not.
const char *open_account(Registration &given, std::string_view password, bool is_discreet, Uuid &id) {
    if (const char *const error = refuse_registration(given)) return error;
    if (const char *const error =
            check_new_password(password, {given.email, given.username, given.first_name, given.last_name}))
        return error;
    std::string hash;
    {
        const HashTurn turn;
        if (!turn) return "busy";
        hash = hash_new_password(password); // before looking: a taken name costs the same
    }
    const ConstantTime time;
    const char *const error = create_account(given, hash, id);
    if (is_discreet) time.wait();
    return error;
}

/// Who has the address hears of it, by mail and at most once in an hour; nobody else does.
void tell_holder(const std::string &email) {
    const std::optional<Account> holder = find_account(email);
    if (!holder || !holder->may_log_in()) return;
    const std::string payload = json::Object().add("user_id", holder->id).add("email", holder->email).text();
    publish_hourly.run({pg::text("user.registration_repeated"), pg::jsonb(payload), pg::text(to_string(holder->id))});
}

Registration registration_of(const pg::Args &args, std::string metadata) {
    const auto field = [&](int i) { return std::string(trim(args.optional_text(i).value_or(""))); };
    return {std::string(trim(args.text(0))), field(4), field(2), field(3), field(5), std::move(metadata)};
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.register_user(email, password, first_name, last_name, username, phone, metadata)
USHER_FUNCTION(usher_identity_register_user) {
    const pg::Args args(fcinfo);
    identity::Registration given = identity::registration_of(args, args.optional_output(6).value_or("{}"));
    Uuid id;
    const char *const error = identity::open_account(given, args.text(1), false, id);
    pg::RowBuilder row(fcinfo);
    if (error != nullptr) return row.set("error", pg::text(error)).finish();
    return row.set("user_id", pg::uuid(id)).finish();
}

/// usher.sign_up(email, password, first_name, last_name, username, phone)
USHER_FUNCTION(usher_identity_sign_up) {
    const pg::Args args(fcinfo);
    identity::Registration given = identity::registration_of(args, "{}");
    const bool is_discreet = !guc::reveal_taken_email;
    Uuid id;
    const char *error = identity::open_account(given, args.text(1), is_discreet, id);
    if (is_discreet && error != nullptr) {
        const std::string_view code = error;
        if (code == "email_taken") identity::tell_holder(given.email);
        if (code == "email_taken" || code == "email_unverified") error = nullptr;
    }
    return identity::only_error(fcinfo, error);
}

/// usher.change_password(current_password, new_password)
USHER_FUNCTION(usher_identity_change_password) {
    const pg::Args args(fcinfo);
    const std::string_view current = args.text(0), wanted = args.text(1);
    const request::Identity &me = request::require_person();
    const std::optional<Uuid> session = me.has_session ? std::optional(me.session_id) : std::nullopt;
    const identity::Account account = identity::require_account(me.user_id);
    const identity::Origin origin = identity::request_origin();
    const identity::Verdict verdict = identity::evaluate_guess(account, account.email, current, origin);
    identity::record_attempt(account.email, account, origin, verdict);
    if (!verdict.is_right()) {
        identity::record({"user.password_change_refused", json::Object().add("reason", verdict.refusal).text(),
                          "warning", "failure"},
                         account.id);
        return identity::only_error(fcinfo, identity::public_error(verdict));
    }
    identity::forget_failures(account, origin);
    if (identity::normalize_password(current) == identity::normalize_password(wanted))
        return identity::only_error(fcinfo, "password_reused");
    const identity::HashTurn turn;
    if (!turn) return identity::only_error(fcinfo, "busy");
    if (const char *const error = identity::refuse_password(account, wanted))
        return identity::only_error(fcinfo, error);
    identity::replace_hash(account, identity::hash_new_password(wanted));
    identity::after_new_password(account, session, "user.password_changed");
    return pg::null_result(fcinfo);
}

/// usher.set_password(user_id, password)
USHER_FUNCTION(usher_identity_set_password) {
    const pg::Args args(fcinfo);
    const Uuid user_id = args.uuid(0);
    const std::string_view wanted = args.text(1);
    access::require_power_over(user_id);
    const identity::Account account = identity::require_account(user_id);
    const identity::HashTurn turn;
    if (!turn) return identity::only_error(fcinfo, "busy");
    if (const char *const error = identity::check_new_password(wanted, identity::owner_of(account)))
        return identity::only_error(fcinfo, error);
    identity::replace_hash(account, identity::hash_new_password(wanted));
    identity::after_new_password(account, std::nullopt, "user.password_set");
    return pg::null_result(fcinfo);
}

/// usher.reset_password(token, new_password)
USHER_FUNCTION(usher_identity_reset_password) {
    const pg::Args args(fcinfo);
    const std::string_view secret = args.text(0), wanted = args.text(1);
    const std::vector<std::string> purposes{identity::purpose::password_reset};
    pg::RowBuilder row(fcinfo);
    identity::OneTimeToken token = identity::find_one_time_token(secret, purposes);
    std::optional<identity::Account> account;
    if (token.error == nullptr) {
        account = identity::find_account(token.user_id);
        if (!account || !account->may_log_in()) token.error = "invalid_token";
    }
    if (token.error != nullptr) return row.set("error", pg::text(token.error)).finish();
    const identity::HashTurn turn;
    if (!turn) return row.set("error", pg::text("busy")).finish();
    // A token that was mailed proves the mailbox; what passwords there were before the first proof is nobody's
    // business.
    const bool is_claim = token.mailed && !account->email_verified;
    if (is_claim) account->password_hash.clear();
    // A refused password does not cost the token.
    if (const char *const error = is_claim ? identity::check_new_password(wanted, identity::owner_of(*account))
                                           : identity::refuse_password(*account, wanted))
        return row.set("error", pg::text(error)).finish();
    token = identity::use_one_time_token(secret, purposes);
    if (token.error != nullptr) return row.set("error", pg::text(token.error)).finish();
    if (is_claim) (void)identity::prove_mailbox(account->id, token.email, identity::without_password());
    identity::replace_hash(*account, identity::hash_new_password(wanted));
    identity::after_new_password(*account, std::nullopt, "user.password_reset");
    return row.set("user_id", pg::uuid(account->id)).finish();
}

/// usher.import_password_hash(user_id, hash)
USHER_FUNCTION(usher_identity_import_password_hash) {
    const pg::Args args(fcinfo);
    const Uuid user_id = args.uuid(0);
    const std::string hash(args.text(1));
    access::require_power_over(user_id);
    const identity::Account account = identity::require_account(user_id);
    identity::require_importable_hash(hash);
    identity::replace_hash(account, hash);
    identity::after_new_password(account, std::nullopt, "user.password_imported");
    return pg::null_result(fcinfo);
}

/// usher.unlock_user(user_id)
USHER_FUNCTION(usher_identity_unlock_user) {
    const Uuid user_id = pg::Args(fcinfo).uuid(0);
    access::require("user:manage", &user_id);
    const identity::Account account = identity::require_account(user_id);
    identity::unlock(account.id);
    identity::record({"user.unlocked", "{}", "notice"}, account.id);
    return pg::null_result(fcinfo);
}
