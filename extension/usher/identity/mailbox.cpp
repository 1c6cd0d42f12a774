#include "usher/identity/mailbox.hpp"
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/subxact.hpp"
#include "usher/identity/cut_off.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/hash_turns.hpp"
#include "usher/identity/passwords.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
// FOR UPDATE waits for logins in flight, which hold the row FOR KEY SHARE: the sessions that they start end here too.
constinit pg::Statement lock_user{R"(
    SELECT email_verified_at IS NULL
    FROM usher.users
    WHERE id = $1 AND usher.name_key(email::text) = usher.name_key($2) AND status IN ('pending', 'active') FOR UPDATE)"};
constinit pg::Statement mark_verified{R"(
    UPDATE usher.users
    SET email_verified_at = clock_timestamp(), status = CASE status WHEN 'pending' THEN 'active' ELSE status END
    WHERE id = $1)"};
constinit pg::Statement trust_profile{
    "UPDATE usher.credentials SET unproven_profile = false WHERE user_id = $1 AND unproven_profile"};
constinit pg::Statement drop_access{R"(
    WITH history AS (DELETE FROM usher.password_history WHERE user_id = $1),
         factors AS (DELETE FROM usher.second_factors WHERE user_id = $1),
         codes AS (DELETE FROM usher.recovery_codes WHERE user_id = $1),
         outside AS (DELETE FROM usher.identities WHERE user_id = $1)
    UPDATE usher.consents
    SET withdrawn_at = clock_timestamp()
    WHERE user_id = $1 AND withdrawn_at IS NULL)"};
constinit pg::Statement drop_profile{R"(
    UPDATE usher.users
    SET first_name = '', last_name = '', username = NULL, phone = NULL, profile = '{}', preferences = '{}',
        metadata = '{}'
    WHERE id = $1)"};
constinit pg::Statement take_registration{R"(
    UPDATE usher.users
    SET first_name = $2::jsonb ->> 'first_name', last_name = $2::jsonb ->> 'last_name',
        username = CASE WHEN $3 THEN nullif($2::jsonb ->> 'username', '') END, phone = nullif($2::jsonb ->> 'phone', ''),
        metadata = $2::jsonb -> 'metadata'
    WHERE id = $1)"};
constinit pg::Statement registered_hash{"SELECT $1::jsonb ->> 'password_hash'", pg::Access::read};

/// What strangers had set up goes; what an administrator had said about the person stays.
void take_over(const Uuid &user_id, const Claim &claim) {
    cut_off(user_id, "mailbox_proved", Occasion::recovery);
    drop_access.run({pg::uuid(user_id)});
    if (set_hash(user_id, claim.hash)) drop_profile.run({pg::uuid(user_id)});
    if (!claim.registration.empty()) {
        const auto take = [&](bool with_username) {
            take_registration.run({pg::uuid(user_id), pg::jsonb(claim.registration), pg::boolean(with_username)});
        };
        if (pg::attempt([&] { take(true); })) take(false); // somebody else has the username by now
    }
    publish("user.claimed", json::Object().add("user_id", user_id).text(), user_id);
    record({"user.claimed", "{}", "warning"}, user_id);
}
} // namespace

bool is_in_person(const Uuid &user_id) {
    const request::Identity *const who = request::current();
    return who != nullptr && who->has_session && who->user_id == user_id;
}

Claim weigh_claim(const Account &account, const std::optional<std::string_view> &password,
                  std::string_view registration) {
    if (account.email_verified || is_in_person(account.id)) return claim_of_holder();
    Claim claim;
    if (!password) {
        if (!account.password_hash.empty()) claim.error = "password_required";
        return claim;
    }
    const HashTurn turn;
    if (!turn) {
        claim.error = "busy";
        return claim;
    }
    if (!account.password_hash.empty() && check_password(*password, account.password_hash).matches)
        return claim_of_holder();
    if (!registration.empty()) {
        claim.hash = registered_hash.run({pg::jsonb(registration)}).front().string(0);
        if (check_password(*password, claim.hash).matches) {
            claim.registration = registration;
            return claim;
        }
    }
    claim.error = check_new_password(*password, {account.email, {}, {}, {}});
    if (claim.error == nullptr) claim.hash = hash_new_password(*password);
    return claim;
}

bool prove_mailbox(const Uuid &user_id, std::string_view email, const Claim &claim) {
    const pg::Rows user = lock_user.run({pg::uuid(user_id), pg::text(email)});
    if (user.empty()) return false;
    const bool is_first = user.front().boolean(0);
    if (is_first && !claim.is_holder) take_over(user_id, claim);
    mark_verified.run({pg::uuid(user_id)});
    if (is_first) trust_profile.run({pg::uuid(user_id)});
    publish("user.email_verified", json::Object().add("user_id", user_id).add("email", email).text(), user_id);
    record({"user.email_verified"}, user_id);
    return true;
}

} // namespace usher::identity

using namespace usher;

/// usher._prove_mailbox(user_id, email)
USHER_FUNCTION(usher_identity_prove_mailbox) {
    const pg::Args args(fcinfo);
    return BoolGetDatum(identity::prove_mailbox(args.uuid(0), args.text(1), identity::without_password()));
}
