// Who acts: asked for by every audit row and every status change, so the name is read once per transaction.
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "usher/audit/audit.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::audit {

namespace {
struct KnownUser {
    Uuid id;
    std::string_view name;
};
struct KnownRole {
    Oid id;
    std::string_view name;
};
constinit pg::TransactionLocal<KnownUser> known_user;
constinit pg::TransactionLocal<KnownRole> known_role;

// A user without a row can act for an instant only (erased meanwhile); the id stands for the name.
std::string_view user_name(const Uuid &id) {
    if (const KnownUser *known = known_user.get(); known != nullptr && known->id == id) return known->name;
    static constinit pg::Statement find{"SELECT display_name FROM usher.users WHERE id OPERATOR(pg_catalog.=) $1",
                                        pg::Access::latest};
    const pg::AsOwner owner;
    const pg::Rows rows = find.run({pg::uuid(id)});
    const std::string name = rows.empty() ? to_string(id) : rows.front().string(0);
    known_user.set({id, pg::keep_for_transaction(name)});
    return known_user.get()->name;
}

std::string_view role_name() {
    const Oid id = GetOuterUserId();
    if (const KnownRole *known = known_role.get(); known != nullptr && known->id == id) return known->name;
    const char *const name = pg::call([&] { return GetUserNameFromId(id, true); });
    known_role.set({id, pg::keep_for_transaction(name != nullptr ? name : "")});
    return known_role.get()->name;
}
} // namespace

Actor current_actor() {
    if (const request::Identity *identity = request::current(); identity != nullptr)
        return {identity->user_id, identity->has_session ? std::optional(identity->session_id) : std::nullopt,
                user_name(identity->user_id)};
    return {std::nullopt, std::nullopt, role_name()};
}

} // namespace usher::audit
