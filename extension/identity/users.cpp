// Registration, and everything that sets a password.
#include "access/access.hpp"
#include "core/account.hpp"
#include "core/json_object.hpp"
#include "identity/guesses.hpp"
#include "identity/hash_turns.hpp"
#include "identity/one_time_tokens.hpp"
#include "identity/passwords.hpp"
#include "identity/sessions.hpp"
#include "identity/shared_guesses.hpp"
#include "pg/args.hpp"
#include "pg/guc.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "request/identity.hpp"

namespace usher::identity {

namespace {
constexpr std::size_t max_metadata = 65536;

// Every unique index counts: e-mail address and username, in any letters.
constinit pg::Statement add_user{"INSERT INTO usher.users (id, email, username, first_name, last_name, phone, "
                                 "metadata) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                                 " ON CONFLICT DO NOTHING RETURNING id"};
constinit pg::Statement email_exists{"SELECT FROM usher.users WHERE lower(email::text) = lower($1)"};
constinit pg::Statement add_credentials{
    "INSERT INTO usher.credentials (user_id, password_hash, password_changed_at) VALUES ($1, $2, clock_timestamp())"};
constinit pg::Statement add_default_role{"INSERT INTO usher.user_roles (user_id, role_id) SELECT $1, r.id FROM "
                                         "usher.roles r WHERE r.name = $2 AND r.is_active"};

// FOR UPDATE waits for logins in flight, which hold the row FOR KEY SHARE: the sessions that they start are ended too.
constinit pg::Statement lock_credentials{"SELECT password_hash FROM usher.credentials WHERE user_id = $1 FOR UPDATE"};
constinit pg::Statement ensure_credentials{
    "INSERT INTO usher.credentials (user_id) VALUES ($1) ON CONFLICT DO NOTHING"};
constinit pg::Statement save_password{
    "UPDATE usher.credentials SET password_hash = $2, password_changed_at = clock_timestamp(), failed_login_attempts = "
    "0, spent_slots = 0,"
    " locked_until = NULL, reset_required = false, updated_at = clock_timestamp() WHERE user_id = $1"};
constinit pg::Statement former_hashes{
    "SELECT password_hash FROM usher.password_history WHERE user_id = $1 ORDER BY replaced_at DESC, id DESC LIMIT $2"};
constinit pg::Statement add_former{"INSERT INTO usher.password_history (user_id, password_hash) VALUES ($1, $2)"};
constinit pg::Statement trim_former{
    "DELETE FROM usher.password_history WHERE user_id = $1 AND id NOT IN (SELECT h.id FROM usher.password_history h"
    " WHERE h.user_id = $1 ORDER BY h.replaced_at DESC, h.id DESC LIMIT $2)"};
constinit pg::Statement verify_address{
    "UPDATE usher.users SET email_verified_at = coalesce(email_verified_at, clock_timestamp()),"
    " status = CASE status WHEN 'pending' THEN 'active' ELSE status END"
    " WHERE id = $1 AND lower(email::text) = lower($2) AND (email_verified_at IS NULL OR status = 'pending')"};

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
    save_password.run({pg::uuid(account.id), pg::text(hash)});
    shared_guesses::forget(account.id);
}

/// The new password is in force: other sessions and open reset tokens belong to whoever knew the old one.
void after_new_password(const Account &account, const std::optional<Uuid> &kept_session, std::string_view event) {
    end_one_time_tokens(account.id, purpose::password_reset);
    revoke_sessions(account.id, kept_session, "password_changed");
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

const char *refuse_registration(const Registration &given) {
    if (!is_valid_email(given.email)) return "invalid_email";
    if (!given.username.empty() && !is_valid_username(given.username)) return "invalid_username";
    if (!is_valid_name(given.first_name) || !is_valid_name(given.last_name)) return "invalid_name";
    if (!given.phone.empty() && !is_valid_phone(given.phone)) return "invalid_phone";
    json::Document document;
    if (given.metadata.size() > max_metadata || !document.parse(given.metadata) || !document.root().is_object())
        return "invalid_metadata";
    return nullptr;
}

pg::Param text_or_null(const std::string &text) { return text.empty() ? pg::null(TEXTOID) : pg::text(text); }

/// The account with its password, role and events. An error code instead of an id when a name is taken.
const char *create_account(const Registration &given, const std::string &hash, Uuid &id) {
    id = pg::new_uuid();
    const pg::Rows added =
        add_user.run({pg::uuid(id), pg::text(given.email), text_or_null(given.username), pg::text(given.first_name),
                      pg::text(given.last_name), text_or_null(given.phone), pg::jsonb(given.metadata)});
    if (added.empty()) return email_exists.run({pg::text(given.email)}).empty() ? "username_taken" : "email_taken";
    add_credentials.run({pg::uuid(id), pg::text(hash)});
    if (guc::default_role != nullptr) add_default_role.run({pg::uuid(id), pg::text(guc::default_role)});
    const Account account = require_account(id);
    publish("user.registered", json::Object().add("user_id", id).add("email", account.email).text(), id);
    record({"user.registered"}, id);
    send_email_verification(account);
    return nullptr;
}
} // namespace

} // namespace usher::identity

using namespace usher;

/// usher.register_user(email, password, first_name, last_name, username, phone, metadata)
USHER_FUNCTION(usher_identity_register_user) {
    const pg::Args args(fcinfo);
    const auto field = [&](int i) { return std::string(trim(args.optional_text(i).value_or(""))); };
    const identity::Registration given{std::string(trim(args.text(0))),       field(4), field(2), field(3), field(5),
                                       args.optional_output(6).value_or("{}")};
    const std::string_view password = args.text(1);
    const char *error = identity::refuse_registration(given);
    if (error == nullptr)
        error =
            identity::check_new_password(password, {given.email, given.username, given.first_name, given.last_name});
    std::string hash;
    if (error == nullptr) {
        const identity::HashTurn turn;
        if (turn)
            hash = identity::hash_new_password(password); // before looking: a taken name costs the same
        else
            error = "busy";
    }
    Uuid id;
    if (error == nullptr) error = identity::create_account(given, hash, id);
    pg::RowBuilder row(fcinfo);
    if (error != nullptr) return row.set("error", pg::text(error)).finish();
    return row.set("user_id", pg::uuid(id)).finish();
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
    access::require("user:manage", &user_id);
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
    // A refused password does not cost the token.
    if (const char *const error = identity::refuse_password(*account, wanted))
        return row.set("error", pg::text(error)).finish();
    token = identity::use_one_time_token(secret, purposes);
    if (token.error != nullptr) return row.set("error", pg::text(token.error)).finish();
    identity::replace_hash(*account, identity::hash_new_password(wanted));
    if (token.mailed) identity::verify_address.run({pg::uuid(account->id), pg::text(token.email)});
    identity::after_new_password(*account, std::nullopt, "user.password_reset");
    return row.set("user_id", pg::uuid(account->id)).finish();
}

/// usher.import_password_hash(user_id, hash)
USHER_FUNCTION(usher_identity_import_password_hash) {
    const pg::Args args(fcinfo);
    const Uuid user_id = args.uuid(0);
    const std::string hash(args.text(1));
    access::require("user:manage", &user_id);
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
