#include "usher/identity/references.hpp"
#include "pg/spi.hpp"

namespace usher::identity {

namespace {
// KEY SHARE: many may refer to one user at once; whoever shuts an account takes its row FOR UPDATE before it publishes.
constinit pg::Statement lock{
    "SELECT u.is_active FROM usher.users AS u WHERE u.id OPERATOR(pg_catalog.=) $1 FOR KEY SHARE"};
} // namespace

UserState lock_user(const Uuid &user_id) {
    const pg::AsOwner owner;
    const pg::Rows rows = lock.run({pg::uuid(user_id)});
    if (rows.empty()) return UserState::unknown;
    return rows.front().boolean(0) ? UserState::active : UserState::inactive;
}

} // namespace usher::identity
