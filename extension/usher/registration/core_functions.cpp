// What feature extensions get from core in C++: the table that kit/core.hpp declares.
#include "kit/core.hpp"
#include "pg/guard.hpp"
#include "usher/access/access.hpp"
#include "usher/audit/audit.hpp"
#include "usher/events/events.hpp"
#include "usher/identity/master_key.hpp"
#include "usher/identity/references.hpp"
#include "usher/operations/restoring.hpp"
#include "usher/request/current_identity.hpp"

using namespace usher;

namespace {

std::optional<std::string_view> optional(const std::string_view *text) {
    return text == nullptr ? std::nullopt : std::optional(*text);
}

bool current_user(Uuid &user) {
    const request::Identity *const identity = request::current();
    if (identity != nullptr) user = identity->user_id;
    return identity != nullptr;
}

bool is_trusted() { return request::current() == nullptr && !request::is_lost() && access::outer_role_is_trusted(); }

void require(std::string_view permission) { access::require(permission); }

bool has_permission(const Uuid &user, std::string_view permission, const std::string_view *scope) {
    return access::has_permission(user, permission, optional(scope));
}

bool has_role(const Uuid &user, std::string_view role, const std::string_view *scope) {
    return access::has_role(user, role, optional(scope));
}

kit::UserState lock_user(const Uuid &user) {
    switch (identity::lock_user(user)) {
    case identity::UserState::active: return kit::UserState::active;
    case identity::UserState::inactive: return kit::UserState::inactive;
    case identity::UserState::unknown: break;
    }
    return kit::UserState::unknown;
}

Uuid log_event(const kit::AuditEvent &event) {
    audit::Event logged;
    logged.event_type = event.event_type;
    logged.data = event.data;
    logged.severity = event.severity;
    logged.result = event.result;
    logged.resource_type = event.resource_type;
    logged.resource_id = event.resource_id;
    logged.error_message = event.error_message;
    return audit::log_event(logged);
}

Uuid publish(std::string_view event, std::string_view payload, const std::string_view *key) {
    return events::publish(event, payload, optional(key));
}

constexpr kit::Core functions{kit::core_version,
                              current_user,
                              is_trusted,
                              require,
                              has_permission,
                              has_role,
                              lock_user,
                              log_event,
                              publish,
                              operations::is_restoring,
                              operations::is_loading,
                              identity::store_secret,
                              identity::open_secret};

} // namespace

extern "C" PGDLLEXPORT const kit::Core *usher_core();
const kit::Core *usher_core() { return &functions; }
