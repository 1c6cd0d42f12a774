// Ending what gives access to an account. Sessions end here and nowhere else, so that each end leaves an audit event.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string_view>

namespace usher::identity {

/// Which active sessions of a user end. By default all of them.
struct SessionChoice {
    std::optional<Uuid> only{};      // this one
    std::optional<Uuid> except{};    // all but this one
    std::optional<int> but_newest{}; // the least recently used, above this number
};

/// Revokes sessions and records session.revoked for each. How many were in force.
int end_sessions(const Uuid &user_id, const SessionChoice &choice, std::string_view reason);

/// A session has outlived its time.
void expire_session(const Uuid &user_id, const Uuid &session_id);

/// Ends what was begun on an account and is not finished, because whoever began it may have been somebody else: open
/// one-time tokens (a pending change of address is one) and codes, logins that wait for a second factor, authenticators
/// that were not confirmed.
void end_pending(const Uuid &user_id);

/// Whether the API keys of the account end as well, by usher.cut_off_api_keys.
enum class Occasion : std::uint8_t {
    precaution, // the owner, who is logged in, ends what they do not need
    recovery,   // the account was in other hands, as far as one knows, or is closed
};

/// The account may be in other hands, or is closed: ends its sessions, but one if it is named, what is pending, and API
/// keys. Every path of recovery and every end of an account calls this; what else gives access is to end here too.
/// How many sessions were in force.
int cut_off(const Uuid &user_id, std::string_view reason, Occasion occasion,
            const std::optional<Uuid> &kept_session = std::nullopt);

} // namespace usher::identity
