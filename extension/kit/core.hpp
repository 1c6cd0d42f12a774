// What core offers to feature extensions in C++: who asks, what they may do, the audit log, events, users. It is a
// table of functions, which an extension in a library of its own asks the library of core for by name, so that both can
// be built and released apart. The functions below are the same for all of them; calls cost a load more than usual.
//
// They throw what core throws: usher::Error, and what the server raised.
#pragma once
#include "common/types.hpp"
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace usher::kit {

/// What happened, for the audit log. Empty text is stored as NULL where the column allows.
struct AuditEvent {
    std::string_view event_type;         // "booking.claimed_again": the last part is the action
    std::string_view data = "{}";        // a JSON object, without secrets
    std::string_view severity = "info";  // debug, info, notice, warning, error, critical
    std::string_view result = "success"; // success, failure, denied
    std::string_view resource_type;
    std::string_view resource_id;
    std::string_view error_message;
};

enum class UserState : std::uint8_t { unknown, inactive, active };

/// Functions are only ever added at the end, and `version` counts the additions.
struct Core {
    std::uint32_t version;
    bool (*current_user)(Uuid &user);
    bool (*is_trusted)();
    void (*require)(std::string_view permission);
    bool (*has_permission)(const Uuid &user, std::string_view permission, const std::string_view *scope);
    bool (*has_role)(const Uuid &user, std::string_view role, const std::string_view *scope);
    UserState (*lock_user)(const Uuid &user);
    Uuid (*log_event)(const AuditEvent &event);
    Uuid (*publish)(std::string_view event, std::string_view payload, const std::string_view *key);
    bool (*is_restoring)();
    bool (*is_loading)();
    std::string (*store_secret)(std::string_view secret, std::string_view context); // since version 3
    std::string (*open_secret)(std::string_view stored, std::string_view context);
};
inline constexpr std::uint32_t core_version = 3;

/// Throws 55000 when the installed core is older than the headers.
const Core &core();

/// The user of the current identity; none for a database role that acts for itself, and for an identity that was lost.
inline std::optional<Uuid> current_user() {
    Uuid user;
    return core().current_user(user) ? std::optional(user) : std::nullopt;
}

/// Whether the database role itself is trusted (a superuser, the owner of core, level admin) and acts for nobody.
inline bool is_trusted() { return core().is_trusted(); }

/// Throws 42501 unless the current identity has the permission, or there is none and the database role is trusted.
inline void require(std::string_view permission) { core().require(permission); }

/// Does the user have the permission? Without a scope only rules without a scope count; with one, those and the rules
/// of that scope.
inline bool has_permission(const Uuid &user, std::string_view permission,
                           std::optional<std::string_view> scope = std::nullopt) {
    return core().has_permission(user, permission, scope ? &*scope : nullptr);
}

/// Does the user have the role, given directly or through another role's parents?
inline bool has_role(const Uuid &user, std::string_view role, std::optional<std::string_view> scope = std::nullopt) {
    return core().has_role(user, role, scope ? &*scope : nullptr);
}

/// Holds the user until the end of the transaction, so that deleting, deactivating or erasing them waits.
inline UserState lock_user(const Uuid &user) { return core().lock_user(user); }

/// Writes one row into the audit log, with actor, session, address, agent and correlation id; returns its id.
inline Uuid log_event(const AuditEvent &event) { return core().log_event(event); }

/// Stores an event in this transaction and calls its sync subscribers; `payload` is a JSON object. Events with the same
/// key reach each async consumer one after the other.
inline Uuid publish(std::string_view event, std::string_view payload,
                    std::optional<std::string_view> key = std::nullopt) {
    return core().publish(event, payload, key ? &*key : nullptr);
}

/// Rows must not be changed, nor history, events or audit written for them: a dump is being loaded, or a replication
/// worker applies changes.
inline bool is_restoring() { return core().is_restoring(); }

/// The first of both: a dump is being loaded. What is derived from its rows and not in it is made then, by a trigger
/// with ENABLE ALWAYS: others rest while rows come into tables with foreign keys.
inline bool is_loading() { return core().is_loading(); }

/// The form in which a secret is kept in a table: sealed under the master key, or as it is where none is set. `context`
/// names the row that it belongs to, "webhook_secret:ID" say, and must be the same for storing and opening. A column of
/// such secrets is registered as `sealed` in personal_data, under what comes before the key: then
/// usher.wrap_secrets() knows it. Throws US101 when the master key cannot be used.
inline std::string store_secret(std::string_view secret, std::string_view context) {
    return core().store_secret(secret, context);
}

/// The reverse. Wipe the result (common/digest.hpp) once it was used.
inline std::string open_secret(std::string_view stored, std::string_view context) {
    return core().open_secret(stored, context);
}

} // namespace usher::kit
