// Users as other features refer to them.
#pragma once
#include "common/types.hpp"
#include <cstdint>

namespace usher::identity {

enum class UserState : std::uint8_t { unknown, inactive, active };

/// What usher.lock_user_reference() does, without the reference: holds the user until the end of the transaction, so
/// that deleting, deactivating or erasing waits.
UserState lock_user(const Uuid &user_id);

} // namespace usher::identity
