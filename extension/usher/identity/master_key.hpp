// Secrets that must be read again (signing keys, TOTP secrets) as they stand in tables: sealed under the master key of
// usher.master_key_file, or as they are where no such file is set. The key file is read whenever it is needed, so that
// the key stays in no backend's memory.
//
// A secret's context names the row that it belongs to, "signing_key:KID" say, and must be the same for storing and
// opening. Secrets are text that does not begin with "$sealed$": encode bytes (common/encoding.hpp).
#pragma once
#include <string>
#include <string_view>

namespace usher::identity {

/// Is usher.master_key_file set?
bool has_master_key();

/// The form of a secret for its table. Throws US101 (master_key_unavailable) when a key file is set but not usable.
std::string store_secret(std::string_view secret, std::string_view context);

/// The reverse. A sealed secret is opened with the master key, or with that of usher.former_master_key_file. Throws
/// US101, which names what is wrong, never the secret. Wipe the result (common/digest.hpp) once it was used.
std::string open_secret(std::string_view stored, std::string_view context);

/// Does the stored form differ from what store_secret() would make now: not sealed, or under another key?
bool needs_wrapping(std::string_view stored);

} // namespace usher::identity
