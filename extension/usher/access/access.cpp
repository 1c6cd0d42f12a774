#include "usher/access/access.hpp"
#include "common/json.hpp"
#include "pg/spi.hpp"
#include "usher/access/access_cache.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::access {

namespace {
constinit pg::Statement require_power{"SELECT usher._require_power_over($1)"};

// By the role itself, not by its name, which another may have meanwhile; and of this server, not of one whose dump was
// restored here.
constinit pg::Statement find_admin_roles{R"(
    SELECT d.role_oid FROM usher.database_roles d
    WHERE d.level OPERATOR(pg_catalog.=) 'admin' AND d.server OPERATOR(pg_catalog.=) usher._server_identifier())",
                                         pg::Access::latest};

/// Something of one scope lies within something of another: the wider one has no scope, or both are the same.
bool within(const std::optional<std::string> &wide, const std::optional<std::string> &narrow) {
    return permission::scope_applies(wide, narrow ? std::optional<std::string_view>(*narrow) : std::nullopt);
}

bool open(const permission::Window &window) { return window.open(window.timeless() ? 0 : pg::clock_time()); }

const permission::Windows *windows_of(const Uuid &user, std::string_view permission) {
    catch_up();
    return cached(user).windows(permission);
}

} // namespace

bool has_permission(const Uuid &user, std::string_view permission, std::optional<std::string_view> scope) {
    if (!request::key_allows(user, permission)) return false;
    const permission::Windows *const windows = windows_of(user, permission);
    return windows != nullptr && open(scope ? windows->at(*scope) : windows->everywhere());
}

bool has_permission_somewhere(const Uuid &user, std::string_view permission) {
    if (!request::key_allows(user, permission)) return false;
    const permission::Windows *const windows = windows_of(user, permission);
    return windows != nullptr && windows->open_somewhere(pg::clock_time());
}

bool has_role(const Uuid &user, std::string_view role, std::optional<std::string_view> scope) {
    catch_up();
    const auto &roles = cached(user).roles;
    return std::any_of(roles.begin(), roles.end(), [&](const HeldRole &held) {
        return held.name == role && permission::scope_applies(held.scope, scope) &&
               (held.expires_at == permission::never || pg::clock_time() < held.expires_at);
    });
}

std::vector<std::string> roles_of(const Uuid &user) {
    catch_up();
    const Instant now = pg::clock_time();
    std::vector<std::string> names;
    for (const HeldRole &held : cached(user).roles)
        if (now < held.expires_at) names.push_back(held.name);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

std::optional<std::string> shown_role(const Uuid &user) {
    catch_up();
    const Instant now = pg::clock_time();
    for (const HeldRole &role : cached(user).shown)
        if (now < role.expires_at) return role.name;
    return std::nullopt;
}

std::vector<std::string> permissions_of(const Uuid &user) {
    catch_up();
    const Instant now = pg::clock_time();
    std::vector<std::pair<std::string, std::optional<std::string>>> granted; // asking may change what is cached
    for (const permission::Rule &rule : cached(user).rules.all())
        if (rule.effect == permission::Effect::allow && rule.source != permission::Source::policy &&
            now < rule.expires_at)
            granted.emplace_back(rule.resource + ':' + rule.action, rule.scope);
    std::vector<std::string> names;
    for (const auto &[name, scope] : granted)
        if (has_permission(user, name, scope)) names.push_back(name);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

bool can_manage(const Uuid &actor, const Uuid &target) {
    if (actor == target) return true;
    catch_up();
    const std::vector<RoleRef> &manages = cached(actor).manages;
    if (manages.empty()) return false;
    const std::vector<RoleRef> &assigned = cached(target).assigned;
    const Instant now = pg::clock_time();

    const auto manages_role = [&](const RoleRef &right, const RoleRef &held) {
        return now < right.expires_at && (!right.role_id || right.role_id == held.role_id) &&
               within(right.scope, held.scope);
    };
    bool has_roles = false;
    for (const RoleRef &held : assigned) {
        if (now >= held.expires_at) continue;
        has_roles = true;
        if (std::none_of(manages.begin(), manages.end(),
                         [&](const RoleRef &right) { return manages_role(right, held); }))
            return false;
    }
    // Somebody without a role is nobody's washer or client: only who manages everybody, everywhere, manages them.
    return has_roles || std::any_of(manages.begin(), manages.end(), [&](const RoleRef &right) {
               return now < right.expires_at && !right.role_id && !right.scope;
           });
}

bool outer_role_is_trusted() {
    const Oid role = GetOuterUserId();
    if (pg::has_rights_of(role, pg::core_owner())) return true;
    const pg::AsOwner as_owner;
    const pg::Rows rows = find_admin_roles.run();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Oid admin = rows[i].oid(0);
        if (pg::call([&] {
                return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(admin)) && has_privs_of_role(role, admin);
            }))
            return true;
    }
    return false;
}

void require(std::string_view permission, const Uuid *target) {
    if (!permission::parse(permission))
        throw Error(errc::invalid_argument, "permission must have the form resource:action");
    const std::string detail = R"({"permission": )" + json::quote(permission) + "}";
    if (const request::Identity *const who = request::current()) {
        // A machine does not change the account that it acts for, whatever it may do to others.
        if (who->is_api_key && target != nullptr && *target == who->user_id &&
            (permission == "user:manage" || permission == "role:manage"))
            (void)request::require_person();
        if (!has_permission(who->user_id, permission))
            throw Error(errc::not_permitted, "permission \"" + std::string(permission) + "\" is required", detail);
        if (target != nullptr && !can_manage(who->user_id, *target))
            throw Error(errc::not_permitted, "you may not manage this user", detail);
        return;
    }
    if (request::is_lost()) request::require(); // throws: an expired identity is not the database role's own
    if (!outer_role_is_trusted())
        throw Error(errc::not_permitted,
                    "permission \"" + std::string(permission) + "\" is required, and nobody is logged in", detail,
                    "Call usher.authenticate() first, or use a database role with access level admin.");
}

void require_power_over(const Uuid &user) { require_power.run({pg::uuid(user)}); }

} // namespace usher::access
