// What registration, login, sessions and one-time tokens share: accounts, where a request came from, and what is told
// about it. All of it runs in C++ frames, inside functions that run as the owner of the extension.
#pragma once
#include "common/types.hpp"
#include "usher/identity/lockout.hpp"
#include <optional>
#include <string>
#include <string_view>

namespace usher::identity {

struct Account {
    Uuid id;
    std::string email, username, first_name, last_name, status;
    bool email_verified = false;
    std::string password_hash;                  // empty: the account has no password
    std::optional<Instant> password_changed_at; // changes with the password, not when its hash is renewed
    LockoutState lockout;
    std::uint64_t spent_permits = 0;
    bool has_second_factor = false; // a confirmed one
    [[nodiscard]] bool may_log_in() const { return status == "active" || status == "pending"; }
};

/// By e-mail address, or by username when there is no @ in it.
std::optional<Account> find_account(std::string_view identifier);
/// By an e-mail address only.
std::optional<Account> find_account_by_email(std::string_view email);
std::optional<Account> find_account(const Uuid &user_id);
/// Throws unknown_reference when there is none, or when it is erased.
Account require_account(const Uuid &user_id);

/// Where the request came from: what set_request_context() said, else the address of the connection.
struct Origin {
    std::string address; // text of an inet; empty: unknown, a Unix socket
    std::string agent;
};
Origin request_origin();
/// The client's network, an IPv4 address or an IPv6 /64; empty when the address is unknown.
std::string network_of(const Origin &origin);

/// usher.publish(event, payload, key), with the user's id as key.
Uuid publish(std::string_view event, const std::string &payload, const Uuid &user_id);

/// An audit event about a user; `result` is success, failure or denied.
struct AuditEvent {
    std::string_view type;
    std::string data = "{}";
    std::string_view severity = "info";
    std::string_view result = "success";
    /// The session that begins or goes on with it: its user is the one who acts, though nobody is authenticated.
    std::optional<Uuid> session_id{};
};
void record(const AuditEvent &event, const std::optional<Uuid> &user_id);

} // namespace usher::identity
