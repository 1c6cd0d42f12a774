#include "kit/rights.hpp"
#include "common/json_object.hpp"
#include "kit/core.hpp"

namespace usher::kit {

namespace {
constinit Statement acts_by_key{"SELECT usher.current_api_key_id() IS NOT NULL"};
} // namespace

std::optional<Uuid> acting_person(const Schema &schema) {
    const std::optional<Uuid> user = current_user();
    if (user && acts_by_key.run(schema, std::span<const pg::Param>{}).front().boolean(0)) return std::nullopt;
    return user;
}

bool may(std::string_view permission, const std::optional<Uuid> &location) {
    const std::optional<Uuid> user = current_user();
    if (!user) {
        require(permission); // throws unless the database role itself is trusted
        return true;
    }
    if (!location) return has_permission(*user, permission);
    return has_permission(*user, permission, to_string(*location));
}

void require(std::string_view permission, const std::optional<Uuid> &location) {
    if (may(permission, location)) return;
    json::Object detail;
    detail.add("permission", permission);
    if (location) detail.add("location_id", *location);
    throw Error(errc::not_permitted, "permission \"" + std::string(permission) + "\" is needed", detail.text());
}

} // namespace usher::kit
