// Who may do what: roles, permissions and the relation "may manage", answered from a cache per backend.
//
// Every answer is what the tables say now (the latest commit, whatever the isolation level), never what a token says.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::access {

/// Does the user have the permission? Without a scope only rules without a scope count; with one, those and the rules
/// of that scope. A malformed permission is one that nobody has.
bool has_permission(const Uuid &user, std::string_view permission,
                    std::optional<std::string_view> scope = std::nullopt);
/// Does the user have the permission in at least one scope? For entry gates before the row, and so its scope, is known.
bool has_permission_somewhere(const Uuid &user, std::string_view permission);

/// Does the user have the role, given directly or through another role's parents?
bool has_role(const Uuid &user, std::string_view role, std::optional<std::string_view> scope = std::nullopt);
/// Every role in force for the user, in any scope, inherited ones included, sorted.
std::vector<std::string> roles_of(const Uuid &user);
/// The role to show of a user who may have several; nothing when they have none.
std::optional<std::string> shown_role(const Uuid &user);
/// The permissions that roles and direct grants give the user somewhere and no deny takes away, sorted, as they were
/// granted: "booking:*" is one. Of a limited key's user those that the key has.
std::vector<std::string> permissions_of(const Uuid &user);

/// May `actor` manage `target`? Everybody may manage themselves; else role_management says so for all roles of the
/// target.
bool can_manage(const Uuid &actor, const Uuid &target);

/// Throws 42501 unless the current identity has the permission (and can manage the target user, if one is given), or
/// there is no identity and the outer database role is trusted.
void require(std::string_view permission, const Uuid *target = nullptr);
/// As require("user:manage", &user), and for an API key without *:* the user may nothing that the key may not: for what
/// lets the caller act as the user afterwards, a password, a token, a key.
void require_power_over(const Uuid &user);
/// Is the outer database role (the session's, not that of a SECURITY DEFINER function) a superuser, a member of the
/// extension's owner, or one with access level admin?
bool outer_role_is_trusted();

} // namespace usher::access
