// The audit log, for the rest of usher: who acts, and writing an event.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string_view>

namespace usher::audit {

/// Who acts in this transaction: the authenticated user, else the database role. Text lives until the end of the
/// transaction.
struct Actor {
    std::optional<Uuid> user_id;
    std::optional<Uuid> session_id;
    std::string_view name; // the user's display name, or the database role in force
};
Actor current_actor();

/// One thing that happened, other than a change of an audited row. Empty text is stored as NULL where the column
/// allows.
struct Event {
    std::string_view event_type;         // "login.failed": the last part is the action
    std::string_view data = "{}";        // a JSON object, without secrets
    std::string_view metadata = "{}";    // a JSON object
    std::string_view severity = "info";  // debug, info, notice, warning, error, critical
    std::string_view result = "success"; // success, failure, denied
    std::string_view resource_type;
    std::string_view resource_id;
    std::string_view error_message;
    std::string_view source = "usher";
    /// Of somebody else than current_actor(): at login nobody is authenticated yet.
    std::optional<Uuid> actor_id;
    std::optional<Uuid> session_id;
    /// Stays even when the transaction is rolled back (see usher/operations/survivors.hpp).
    bool survives_rollback = false;
};

/// Writes one row into usher.audit_logs with actor, session, address, agent and correlation id; returns its id.
/// Throws 22023 for text that the table does not take.
Uuid log_event(const Event &event);

/// What usher.log_read() does: a row if reads of this kind are logged. Throws US301 on a standby then.
void log_read(std::string_view kind, std::string_view id, std::string_view data = "{}");

} // namespace usher::audit
