// All settings of usher in one list. Nobody but a superuser can change them (or whoever was granted SET on one, from
// PostgreSQL 15 on): an application role that could raise the lockout threshold would have no lockout.
#pragma once
#include "pg/pg.hpp"

namespace usher::guc {

// clang-format off
// INT(variable, "name", default, min, max, unit, "description")   unit: 0, GUC_UNIT_S, GUC_UNIT_MS, GUC_UNIT_KB …
#define USHER_INT_SETTINGS(INT) \
    INT(argon2_memory,           "argon2_memory",           19456, 8192, 1048576, GUC_UNIT_KB, "Memory of one Argon2id hash (OWASP: at least 19 MiB with two iterations).") \
    INT(argon2_iterations,       "argon2_iterations",       2, 1, 20, 0,                       "Passes of Argon2id over its memory.") \
    INT(argon2_parallelism,      "argon2_parallelism",      1, 1, 16, 0,                       "Lanes of Argon2id.") \
    INT(bcrypt_rounds,           "bcrypt_rounds",           12, 10, 15, 0,                     "Binary logarithm of the rounds of bcrypt.") \
    INT(max_concurrent_hashes,   "max_concurrent_hashes",   0, 0, 1024, 0,                     "Password hashes computed at once over all backends; 0 means the number of cores. Needs preload.") \
    INT(max_hash_time,           "max_hash_time",           2500, 100, 600000, GUC_UNIT_MS,    "Hashes of passwords that are estimated to take longer are neither imported nor evaluated, whatever other limits allow.") \
    INT(max_hash_memory,         "max_hash_memory",         262144, 1024, 1048576, GUC_UNIT_KB, "Nor those that take more memory.") \
    INT(hash_wait,               "hash_wait",               5000, 0, 60000, GUC_UNIT_MS,       "How long to wait for a turn to hash before the answer is busy.") \
    INT(password_min_length,     "password_min_length",     15, 1, 128, 0,                     "Fewest characters of a password (NIST SP 800-63B); below 8 is a finding of check_configuration().") \
    INT(password_history,        "password_history",        0, 0, 24, 0,                       "How many former passwords may not be used again.") \
    INT(lockout_threshold,       "lockout_threshold",       5, 1, 100, 0,                      "Consecutive failures that lock an account.") \
    INT(network_lockout_threshold,"network_lockout_threshold",5, 1, 10000, 0,                   "Consecutive failures with changing names that lock a network.") \
    INT(lockout_base,            "lockout_base",            30, 1, 86400, GUC_UNIT_S,          "Length of the first lock; each failure after it doubles the next.") \
    INT(lockout_max,             "lockout_max",             3600, 1, 604800, GUC_UNIT_S,       "Longest lock.") \
    INT(access_token_ttl,        "access_token_ttl",        900, 30, 86400, GUC_UNIT_S,        "Life of an access token.") \
    INT(session_idle_timeout,    "session_idle_timeout",    2592000, 60, 31536000, GUC_UNIT_S, "A session ends when its refresh token was not used for so long.") \
    INT(session_absolute_timeout,"session_absolute_timeout",7776000, 60, 315360000, GUC_UNIT_S,"A session ends so long after login, whatever happens.") \
    INT(max_sessions_per_user,   "max_sessions_per_user",   0, 0, 10000, 0,                    "Active sessions of one user; a login above ends the oldest. 0 means no limit.") \
    INT(refresh_grace,           "refresh_grace",           10, 0, 300, GUC_UNIT_S,            "How long the parent refresh token gets the same successor again in grace mode.") \
    INT(access_cache_size,       "access_cache_size",       8192, 64, 1048576, GUC_UNIT_KB,    "Memory in each backend for what users may do; the users asked about longest ago make room.") \
    INT(audit_max_value,         "audit_max_value",         8192, 1, 65536, GUC_UNIT_KB,        "Largest value that an audit row keeps; for larger ones it keeps the size only.") \
    INT(audit_retention,         "audit_retention",         0, 0, 36500, 0,                    "Days after which whole months of the audit log are archived and dropped; 0 keeps them for ever.") \
    INT(rate_limit_retention,    "rate_limit_retention",    7, 0, 3650, 0,                     "Days for which a key that was refused stays in rate_limit_records after it has no effect any longer.") \
    INT(clock_skew,              "clock_skew",              0, 0, 60, GUC_UNIT_S,              "Leeway for exp and nbf of tokens.") \
    INT(email_token_ttl,         "email_token_ttl",         86400, 60, 2592000, GUC_UNIT_S,    "Life of an e-mail verification token.") \
    INT(reset_token_ttl,         "reset_token_ttl",         3600, 60, 86400, GUC_UNIT_S,       "Life of a password reset token.") \
    INT(one_time_code_ttl,       "one_time_code_ttl",       600, 60, 3600, GUC_UNIT_S,        "Life of a six-digit code sent by mail.") \
    INT(second_factor_ttl,       "second_factor_ttl",       300, 30, 3600, GUC_UNIT_S,        "How long after the right password login_second_factor() may follow.") \
    INT(totp_window,             "totp_window",             1, 0, 10, 0,                       "Time steps of 30 s before and after the present one whose TOTP codes are accepted.") \
    INT(one_time_tokens_per_hour,"one_time_tokens_per_hour",5, 1, 100, 0,                       "Tokens of one purpose that one account can have mailed within an hour.") \
    INT(identity_retention,      "identity_retention",      90, 1, 3650, 0,                     "Days for which ended sessions, used tokens and login attempts are kept.") \
    INT(events_retention,        "events_retention",        30, 1, 3650, 0,                     "Days for which events are kept that every consumer has completed.") \
    INT(idempotency_retention,   "idempotency_retention",   24, 1, 720, 0,                     "Hours for which the answer to a request with an Idempotency-Key is kept.") \
    INT(max_page_rows,           "max_page_rows",           500, 1, 999, 0,                    "Most rows of one page of a list over HTTP: whoever asks for more gets so many, and a next.") \
    INT(max_answer_size,         "max_answer_size",         16384, 16, 262144, GUC_UNIT_KB,    "Largest body of an answer over HTTP; a function whose result is larger fails.") \
    INT(flush_interval,          "flush_interval",          1000, 10, 60000, GUC_UNIT_MS,       "How often the background worker writes shared counters to tables: what a crash may forget.") \
    INT(maintenance_interval,    "maintenance_interval",    300, 1, 86400, GUC_UNIT_S,          "How often the background worker calls usher.run_maintenance().") \
    INT(self_check_interval,     "self_check_interval",     86400, 0, 31536000, GUC_UNIT_S,     "How often the background worker runs the self-check of each extension and keeps what it finds, for usher.last_self_check(); 0 means never.") \
    INT(worker_lock_timeout,     "worker_lock_timeout",     2000, 10, 60000, GUC_UNIT_MS,      "How long the background worker waits for a lock before it puts off what it was doing.") \
    INT(worker_job_timeout,      "worker_job_timeout",      300, 1, 86400, GUC_UNIT_S,         "How long one job of the background worker may take: a flush, a round of handlers, upkeep.") \
    INT(handler_timeout,         "handler_timeout",         60, 0, 3600, GUC_UNIT_S,           "How long the handler of an asynchronous event may run before it has failed; 0 means no limit.")

// BOOL(variable, "name", default, "description")
#define USHER_BOOL_SETTINGS(BOOL) \
    BOOL(require_verified_email, "require_verified_email",  true,  "Log in only accounts whose e-mail address is verified.") \
    BOOL(reveal_taken_email,     "reveal_taken_email",      false, "Tell whoever signs up that the address has an account already.") \
    BOOL(reveal_lockout,         "reveal_lockout",          false, "Tell the caller of login that the account is locked, and for how long.") \
    BOOL(notify_events,          "notify_events",           false, "Publishing also sends NOTIFY usher_events with the consumer's name; commits then wait for each other.") \
    BOOL(audit_chain,            "audit_chain",             true,  "Seal the audit log: blocks of its rows get digests that usher.verify_audit_chain() checks.") \
    BOOL(legacy_rate_limit_headers,"legacy_rate_limit_headers",false,"Send RateLimit-Limit, -Remaining and -Reset (drafts up to 06) as well.") \
    BOOL(restoring,              "restoring",               false, "A dump is being loaded: triggers write no history, audit rows or events.")

// STRING(variable, "name", default, context, "description")
#define USHER_STRING_SETTINGS(STRING) \
    STRING(token_issuer,         "token_issuer",            "",      PGC_SUSET,                "The iss claim of our access tokens; empty: usher.public_url, as OAuth clients want it.") \
    STRING(token_audience,       "token_audience",          "usher", PGC_SUSET,                "The aud claim of our access tokens.") \
    STRING(public_url,           "public_url",              "http://localhost:8080", PGC_SUSET, "Where clients reach the gateway, without a slash at its end: the base of the URLs in the OAuth metadata, and the iss claim of access tokens while usher.token_issuer is empty.") \
    STRING(master_key_file,      "master_key_file",         "", PGC_SIGHUP,                    "File of the master key, 256 random bits, under which signing keys and other secrets are stored.") \
    STRING(former_master_key_file,"former_master_key_file", "", PGC_SIGHUP,                    "File of the master key before, until usher.wrap_secrets() has run.") \
    STRING(totp_issuer,          "totp_issuer",             "usher", PGC_SUSET,                "The name of this service in authenticator applications.") \
    STRING(default_role,         "default_role",            "",       PGC_SUSET,               "Role of a newly registered user, when a role of that name exists; empty: the default one of the preset that was applied.") \
    STRING(audit_reads,          "audit_reads",             "off",    PGC_SUSET,               "Which reads of personal data through the functions of usher leave an audit row, beside those of what a service marks as sensitive: off, on, or kinds such as user, customer, booking, separated by commas.") \
    STRING(audit_archive_function,"audit_archive_function",  "", PGC_SUSET,                     "Function (partition regclass, since timestamptz, until timestamptz), as schema.name, that is called before a month of the audit log is dropped; an error keeps the month.") \
    STRING(archive_function,     "archive_function",        "",       PGC_SUSET,               "Function (source regclass, rows jsonb), as schema.name, that is called with old rows of events, sessions and login attempts before upkeep removes them; an error keeps them.") \
    STRING(worker_databases,     "worker_databases",        "", PGC_POSTMASTER,                "Databases, separated by commas, that the background worker keeps up; needs shared_preload_libraries.")

// ENUM(variable, "name", default, options, "description"); the options stand in guc.cpp
#define USHER_ENUM_SETTINGS(ENUM) \
    ENUM(password_algorithm,     "password_algorithm",      argon2id, PasswordAlgorithm,       "How new passwords are hashed: argon2id or bcrypt.") \
    ENUM(cookie_same_site,       "cookie_same_site",        lax,      CookieSameSite,          "SameSite of the session cookies that browsers get: lax or strict.") \
    ENUM(cut_off_api_keys,       "cut_off_api_keys",        recovery, CutOffApiKeys,           "When the API keys of an account end with its sessions: never, recovery (reset or set password, closed or taken over account) or always (also change of password, logout of all).") \
    ENUM(refresh_reuse,          "refresh_reuse",           grace,    RefreshReuse,            "What the reuse of a refresh token does: strict, grace or lenient.")
// clang-format on

enum class PasswordAlgorithm : int { argon2id, bcrypt };
enum class RefreshReuse : int { strict, grace, lenient };
enum class CookieSameSite : int { lax, strict };
enum class CutOffApiKeys : int { never, recovery, always };

#define INT(variable, ...) extern int variable;
#define BOOL(variable, ...) extern bool variable;
#define STRING(variable, ...) extern char *variable;
#define ENUM(variable, name, initial, type, description)                                                               \
    extern int variable##_value;                                                                                       \
    inline type variable() { return static_cast<type>(variable##_value); }
USHER_INT_SETTINGS(INT)
USHER_BOOL_SETTINGS(BOOL)
USHER_STRING_SETTINGS(STRING)
USHER_ENUM_SETTINGS(ENUM)
#undef INT
#undef BOOL
#undef STRING
#undef ENUM

/// Defines the settings; called once, by _PG_init.
void define_settings();

} // namespace usher::guc
