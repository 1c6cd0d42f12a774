// Password hashes: PHC strings of Argon2id, Argon2i, scrypt and PBKDF2, Django's PBKDF2 form, and bcrypt.
// bcrypt itself comes from pgcrypto, so it is a function that the caller hands in. Normalization (NFC) is the
// caller's task too: it needs the server's tables.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher {

enum class PasswordScheme : std::uint8_t {
    argon2id,
    argon2i,
    scrypt,
    pbkdf2_sha256,
    pbkdf2_sha512,
    bcrypt,
    bcrypt_sha256
};

std::string_view to_string(PasswordScheme scheme) noexcept;
std::vector<PasswordScheme> password_schemes();
/// Of the others, hashes are taken over and verified.
bool makes_new_hashes(PasswordScheme scheme) noexcept;

/// Longest password that is accepted at all.
inline constexpr std::size_t password_max_bytes = 1024;

/// crypt(password, setting) as pgcrypto has it for "$2a$": returns the whole hash string.
using BcryptFunction = std::function<std::string(std::string_view password, std::string_view setting)>;

/// What new hashes are made with (settings usher.password_algorithm, usher.argon2_*, usher.bcrypt_rounds).
struct PasswordSettings {
    PasswordScheme scheme = PasswordScheme::argon2id; // or bcrypt
    std::uint32_t argon2_memory_kib = 19456;
    std::uint32_t argon2_iterations = 2;
    std::uint32_t argon2_parallelism = 1;
    std::uint32_t bcrypt_rounds = 12;
};

/// A hash string taken apart. Salt and digest are raw bytes (for bcrypt both are inside `text`).
struct PasswordHash {
    PasswordScheme scheme{};
    std::uint32_t memory_kib = 0;  // argon2
    std::uint32_t iterations = 0;  // argon2 t, PBKDF2 rounds, bcrypt rounds (log2), scrypt log2(N)
    std::uint32_t parallelism = 0; // argon2 and scrypt p
    std::uint32_t block_size = 0;  // scrypt r
    std::string salt, digest;
    std::string text; // the hash string itself
};

/// What evaluating a hash takes: time by estimate, on a slow core of today, and memory.
struct HashCost {
    std::uint64_t time_ms = 0;
    std::uint64_t memory_kib = 0;
};

struct ParsedHash {
    std::optional<PasswordHash> hash;
    std::string error; // when there is no hash: what is wrong; never any part of the hash
    explicit operator bool() const noexcept { return hash.has_value(); }
};

/// Reads a hash string and enforces the cost caps (argon2 1 GiB, t 20, p 16; scrypt N 2^17; bcrypt 15 rounds;
/// PBKDF2 10 million): what passes can be verified in bounded time.
ParsedHash parse_password_hash(std::string_view text);

/// What it takes to evaluate the hash, whatever the password.
HashCost cost_of(const PasswordHash &hash) noexcept;

/// New hash with today's settings. bcrypt of more than 72 bytes uses the pre-hashing form $bcrypt-sha256$ (passlib):
/// never cut. Throws Error (22023) for passwords over password_max_bytes or settings out of range.
std::string hash_password(std::string_view password, const PasswordSettings &settings, const BcryptFunction &bcrypt);

/// One full evaluation whatever the outcome; comparison in constant time. Too long passwords are simply wrong.
bool verify_password(std::string_view password, const PasswordHash &hash, const BcryptFunction &bcrypt);

/// True when the hash is foreign to the settings or weaker than them.
bool needs_rehash(const PasswordHash &hash, const PasswordSettings &settings);

/// A hash that no password matches, with the cost of today's settings: what unknown users are checked against.
PasswordHash dummy_password_hash(const PasswordSettings &settings);

// --- Policy ---------------------------------------------------------------------------------------------

struct PasswordOwner { // what the password must not be equal to (compared without ASCII case); empty: unknown
    std::string_view email, username, first_name, last_name;
};

struct PasswordPolicy {
    std::size_t min_length = 15; // characters
    bool use_blocklist = true;
};

/// nullptr when acceptable, else a stable result code: password_too_short, password_too_long,
/// password_matches_identity, password_too_common, password_invalid (no UTF-8, or control characters U+0000).
const char *check_password_policy(std::string_view password, const PasswordPolicy &policy, const PasswordOwner &owner);

/// Member of the shipped list of the commonest passwords (compared in lower case).
bool is_common_password(std::string_view password);

} // namespace usher
