// Proving e-mail addresses.
#pragma once
#include "usher/identity/accounts.hpp"

namespace usher::identity {

/// Less than usher.one_time_tokens_per_hour tokens of this purpose were made for the account within an hour.
bool may_be_mailed(const Uuid &user_id, const char *purpose);

} // namespace usher::identity
