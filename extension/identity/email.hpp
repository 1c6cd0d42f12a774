// Proving e-mail addresses.
#pragma once
#include "identity/accounts.hpp"

namespace usher::identity {

/// Somebody has shown what was mailed to this address: it is verified if it is still that of the account, which opens a
/// pending one. False otherwise.
bool verify_address(const Uuid &user_id, std::string_view email);

} // namespace usher::identity
