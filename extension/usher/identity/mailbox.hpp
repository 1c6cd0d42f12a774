// The first proof of a mailbox. Until then anybody may have opened the account with somebody else's address; whoever
// then proves the mailbox must not share it with them (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security
// 2022).
#pragma once
#include "usher/identity/accounts.hpp"

namespace usher::identity {

/// How whoever proves the mailbox of an account stands to what was set up before.
struct Claim {
    const char *error = nullptr; // password_required, busy, or why the password cannot be the account's
    bool is_holder = false;      // they have a session of the account, or know its password: everything stays
    std::string hash;            // else: what their password becomes; empty: the account gets none
    std::string registration;    // and what they had entered when they registered, JSON, or empty
};

/// Of whoever has a session of the account.
inline Claim claim_of_holder() { return {nullptr, true, {}, {}}; }
/// Nobody's but the mailbox owner's: for proofs that come without a password.
inline Claim without_password() { return {}; }

/// Weighs a claim before the proof is used up. `registration` is what is kept with the proof, of a registration with an
/// address that was there already; it counts only for whoever knows its password.
Claim weigh_claim(const Account &account, const std::optional<std::string_view> &password,
                  std::string_view registration);

/// Marks the address as verified, if it is still that of the account, which opens a pending one; false otherwise. The
/// first time, and unless the claim is the holder's, this ends whatever strangers had set up: password, sessions,
/// factors, keys, linked accounts, pending changes, consents, and what they said about themselves.
bool prove_mailbox(const Uuid &user_id, std::string_view email, const Claim &claim);

/// Is this a session of the user, not an API key?
bool is_in_person(const Uuid &user_id);

} // namespace usher::identity
