// What each user holds, read from the tables once and kept in this backend until somebody changes the rules.
#pragma once
#include "usher/access/permission.hpp"
#include <string>
#include <unordered_map>
#include <vector>

namespace usher::access {

/// A role of a user with where and until when it counts.
struct HeldRole {
    std::string name;
    std::optional<std::string> scope;
    Instant expires_at = permission::never;
};

/// An assignment or a right to manage, by role. nullopt as role: everybody, whatever the roles.
struct RoleRef {
    std::optional<Uuid> role_id;
    std::optional<std::string> scope;
    Instant expires_at = permission::never;
};

class UserAccess {
public:
    permission::RuleSet rules;     // none for a deactivated or unknown user
    std::vector<HeldRole> roles;   // inherited ones included; none for a deactivated or unknown user
    std::vector<HeldRole> shown;   // direct roles, the one that says most about the user first
    std::vector<RoleRef> manages;  // target roles of role_management for the held roles
    std::vector<RoleRef> assigned; // direct roles, also of a deactivated user, for whoever wants to manage that user

    /// What the rules say about one permission, worked out at the first question. nullptr for a malformed permission.
    const permission::Windows *windows(std::string_view permission);
    /// Estimate of the memory in use, in bytes.
    [[nodiscard]] std::size_t weight() const;

private:
    struct Hash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    std::unordered_map<std::string, permission::Windows, Hash, std::equal_to<>> windows_;
    std::size_t windows_weight_ = 0;
};

/// Processes pending invalidation messages, and drops what is no longer true.
void catch_up();
/// The user's entry, read from the tables if need be. The last two entries handed out stay valid until the next call of
/// catch_up(). Whoever keeps a pointer for longer keeps the pg::Moment beside it in which it was got.
UserAccess &cached(const Uuid &user);

} // namespace usher::access
