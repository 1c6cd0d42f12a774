// Guessing a password: who may try, and what a wrong try costs. Used wherever a password is asked for.
//
// The rules (docs/identity.md): the 5th consecutive failure locks for 30 s, each later one doubles it; while locked
// nothing is evaluated or counted; parallel guesses get no more tries than guesses one after the other; logins of one
// user do not wait for each other.
//
// A row lock would be exact but would make logins wait: it lasts until the caller's commit, and hashing takes tens of
// milliseconds. So each account has as many guess permits as the threshold allows. To have a password evaluated one
// takes a free permit: a lock in the server's lock table, which all backends see at once, in a class of its own that no
// SQL can take. A right password gives the permit back at once, so any number of right logins pass, a few at a time,
// whatever else their transactions do. A wrong one keeps it until the end of the transaction, and marks it as spent in
// the account's row, so that the permit is gone for good at the very moment when its lock is. Permits that are taken or
// spent never exceed the threshold: neither can evaluated wrong guesses. When all permits are spent the account is
// locked; after the lock there is one permit only.
//
// That needs no preload, but what a transaction counts is gone when it is rolled back. With the library preloaded the
// permits are counters in shared memory instead (usher/identity/shared_guesses.hpp), by the same rules, and failures
// survive.
#pragma once
#include "usher/identity/accounts.hpp"
#include <functional>

namespace usher::identity {

/// What became of a password.
struct Verdict {
    const char *refusal = nullptr; // nullptr: it is right. Else the failure_reason of login_attempts
    std::int64_t retry_after = 0;  // seconds, when locked or busy; -1: only a reset opens the account
    bool needs_rehash = false;
    [[nodiscard]] bool is_right() const { return refusal == nullptr; }
    [[nodiscard]] bool is_busy() const;
    [[nodiscard]] bool is_lock() const;
};

/// Evaluates one password for an account, or for none (the same work), and counts a failure. `name` is what the caller
/// typed.
Verdict evaluate_guess(const std::optional<Account> &account, std::string_view name, std::string_view password,
                       const Origin &origin);

/// As evaluate_guess() for what comes after the password: the same counters, locks and permits. `is_right` is called at
/// most once, and not at all while the account is locked; `wrong` is the failure_reason when it says no.
Verdict evaluate_code(const Account &account, const Origin &origin, const char *wrong,
                      const std::function<bool()> &is_right);

/// Counts a failure of the network alone, for codes that have a limit of their own.
void count_network_guess(const Origin &origin, std::string_view name);
/// Is the network locked?
bool is_network_locked(const Origin &origin);

/// After a success: forgets failures of the account, and those of the network that were made with this name or another
/// of the account's. Does not wait for others who do the same.
void forget_failures(const Account &account, const Origin &origin, std::string_view name = {});

/// Keeps the trace of an attempt: a row of login_attempts.
void record_attempt(std::string_view name, const std::optional<Account> &account, const Origin &origin,
                    const Verdict &verdict);

/// The result code for the caller: invalid_credentials, busy, or account_locked when usher.reveal_lockout is on.
const char *public_error(const Verdict &verdict);
/// retry_after for the caller, 0 when it is not told.
std::int64_t public_retry_after(const Verdict &verdict);

/// Adds failures that were counted elsewhere to the row of an account or of a one-time code; nothing when there is
/// none.
void count_failures(const Uuid &subject, std::int32_t count, Instant last_failure);

/// Writes failures of a network that were rolled back.
void count_network_failures(const std::string &network, std::int32_t count, std::string_view last_name);

/// Ends the lockout of an account.
void unlock(const Uuid &user_id);

/// Gives an account the hash of a new password, or none when it is empty, which ends its lockout too. True when nobody
/// has proved that the profile is theirs.
bool set_hash(const Uuid &user_id, const std::string &hash);

} // namespace usher::identity
