// Passwords with the server's settings: what login, registration, reset and change use.
// All of it runs in C++ frames: errors of the server arrive as pg::PgError.
#pragma once
#include <string>
#include <string_view>

#include "usher/identity/password.hpp"

namespace usher::identity {

/// usher.password_algorithm, usher.argon2_* and usher.bcrypt_rounds as they are now.
PasswordSettings password_settings();

/// NFC, so that the same password typed on two keyboards is the same. Only in UTF-8 databases; else and for what is
/// ASCII anyway the text comes back as it is.
std::string normalize_password(std::string_view password);

/// Policy for a new password, with usher.password_min_length, the shipped blocklist and usher.password_blocklist.
/// nullptr when acceptable, else the result code: password_too_short, password_too_long, password_matches_identity,
/// password_too_common, password_invalid.
const char *check_new_password(std::string_view password, const PasswordOwner &owner);

/// Normalizes and hashes with today's settings. The policy is not looked at.
std::string hash_new_password(std::string_view password);

struct PasswordCheck {
    bool matches = false;
    bool needs_rehash = false; // matches, and the hash is foreign, weaker than today's settings, or of another form of
                               // the password: save hash_new_password()
};

/// Evaluates the hash with the password as it was given, if that is not its normal form, and with its normal form. The
/// empty password never matches. An empty or unreadable `stored`, and one that costs more than
/// usher.max_hash_time or usher.max_hash_memory allows, is evaluated as the dummy hash and does not match.
PasswordCheck check_password(std::string_view password, std::string_view stored);

/// Refuses (22023) a hash string that is unreadable, or costs more than may be evaluated.
void require_importable_hash(std::string_view hash);

} // namespace usher::identity
