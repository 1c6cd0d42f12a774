// The last steps of every login, whatever proved who somebody is.
#pragma once
#include "pg/result.hpp"
#include "usher/identity/sessions.hpp"

namespace usher::identity {

/// Starts a session and puts it, with its tokens, into the row that login functions return.
Uuid open_session(pg::RowBuilder &row, const Account &account, std::string_view device, const Origin &origin,
                  const Proof &proof);

/// The first factor was right and the account has a second: a challenge for login_second_factor() in the row.
void ask_second_factor(pg::RowBuilder &row, const Account &account, std::string_view device, const Origin &origin,
                       const std::vector<std::string> &methods);

/// Holds the account until this transaction ends, so that whoever deactivates it ends the session that is started now
/// too. False when it is no longer open.
bool hold_account(const Uuid &user_id);
/// The same while the password is still the one that was proved; `password_changed_at` says which.
bool hold_account_with_password(const Uuid &user_id, const std::optional<Instant> &password_changed_at);

/// The audit event of a login; `refusal` nullptr: it succeeded.
void record_login(const std::optional<Uuid> &user_id, const char *refusal, const std::optional<Uuid> &session_id);

/// Sets the columns access_token, token_type and expires_in.
void set_access_token(pg::RowBuilder &row, const Uuid &user_id, const Uuid &session_id, const Proof &proof);

} // namespace usher::identity
