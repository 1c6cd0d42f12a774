// Sessions: one row per login. Refreshing rotates the token inside the row. How sessions end:
// usher/identity/cut_off.hpp.
#pragma once
#include "usher/identity/accounts.hpp"
#include "usher/identity/tokens.hpp"
#include <vector>

namespace usher::identity {

struct NewSession {
    Uuid id;
    std::string refresh_token;
};

/// Starts a session of a user who has proved who they are. `device`: a JSON object, checked by require_device(). Ends
/// the oldest sessions above usher.max_sessions_per_user.
NewSession start_session(const Uuid &user_id, std::string_view device, const Origin &origin, const Proof &proof);

/// Throws 22023 unless the text is a JSON object of at most 16 KiB.
void require_device(std::string_view device);

/// A second factor was verified in the session. Its next refresh skips a generation. What the session is worth then.
Proof raise_session(const Uuid &session_id);

/// After a change of privileges: no refresh token of before is the parent of the next one.
void skip_generation(const Uuid &session_id);

} // namespace usher::identity
