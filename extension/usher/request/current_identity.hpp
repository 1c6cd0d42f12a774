// Who is asking. The identity lives in backend memory, is set by a verified access token only, belongs to the
// transaction, and is checked again for expiry and revocation at every statement. No setting and no SQL can forge it.
#pragma once
#include "common/types.hpp"
#include "pg/moment.hpp"
#include <optional>
#include <string>
#include <string_view>

namespace usher::request {

/// All text lives until the end of the transaction.
struct Identity {
    Uuid user_id;
    bool has_session = false; // tokens of issue_token() may stand for a user without a session
    Uuid session_id;
    std::int32_t session_level = 1; // what the session's row says; see assurance_level()
    bool is_api_key = false;        // a machine with an API key of the user, or with a token that it was traded for
    bool is_limited = false;        // an API key without *:*
    Uuid api_key_id;
    std::string_view key_permissions; // what the key may do, separated by spaces
    std::optional<Uuid> token_id;     // of a token without a session: it can be revoked by itself
    Instant expires_at = 0;
    std::string_view claims;   // the token's claims, JSON text
    std::uint64_t checked = 0; // generation of the sessions cache at the last check
    /// Of a token from outside: the identity that makes it this user's, looked at again at every check. Else empty.
    std::string_view provider, subject;
    bool revoked = false; // the last check said so; stays for the rest of the transaction
};

/// What current() said last, and when. A policy asks for every row.
struct Known {
    pg::Moment at;
    const Identity *who = nullptr;
};
inline constinit Known known;
const Identity *find_current();

/// The identity of this transaction; nullptr when there is none, when it has expired, or when its session was revoked.
inline const Identity *current() { return known.at.is_now() ? known.who : find_current(); }
/// An identity was set in this transaction, but it has expired or was revoked. Such a transaction is nobody's: it must
/// not fall back to what the database role may do.
bool is_lost();
/// As current(), but throws 28000 when there is none.
const Identity &require();

/// As require(), but throws US103 for an API key: for what only the users themselves may do, whatever their machines
/// may.
const Identity &require_person();

/// May the current identity use this permission of the user, if the user has it? No for an API key that was not given
/// it; else yes. Every answer about permissions of a user asks this first.
bool key_allows(const Uuid &user_id, std::string_view permission);
/// Does the current identity stand for the whole user? Not an API key, unless it was given *:*.
bool stands_for_whole(const Uuid &user_id);
/// Throws 42501 for an API key without *:*: for what shapes the power of others, and is no permission that a key could
/// hold itself.
void require_whole();

/// Authenticator assurance level of the current identity: 1, or 2 after a second factor. A token never counts for more
/// than it was issued with, nor for more than its session has now. 0 without identity.
std::int32_t assurance_level();

/// Verifies the token or API key and makes its user the identity of this transaction. Returns an error code (errc name)
/// instead of throwing when the token is not good; empty on success.
std::string authenticate(std::string_view access_token);

/// As authenticate() for an API key that is given as id and secret of an OAuth client. False, and nobody, when they do
/// not belong together.
bool authenticate_client(std::string_view id, std::string_view secret);

/// Makes the rest of the transaction nobody's, until the next authenticate(): an HTTP request without a token is
/// neither who the transaction was before, nor trusted because of the database role that the gateway connects as.
/// is_lost() is true then.
void forget();

/// Where the request came from. It is a description for audit rows and limits, never identity.
struct Context {
    std::string_view client_ip;      // text form of an inet, or empty
    std::string_view user_agent;     // at most 512 bytes, or empty
    std::string_view correlation_id; // at most 128 visible ASCII characters, or empty
};
Context context();
/// Sets it for this transaction; what is too long or not printable is refused with 22023.
void set_context(const Context &context);

} // namespace usher::request
