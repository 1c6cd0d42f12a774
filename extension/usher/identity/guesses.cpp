#include "usher/identity/guesses.hpp"
#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "pg/spi.hpp"
#include "usher/identity/account.hpp"
#include "usher/identity/failed_names.hpp"
#include "usher/identity/guess_permits.hpp"
#include "usher/identity/hash_turns.hpp"
#include "usher/identity/names.hpp"
#include "usher/identity/passwords.hpp"
#include "usher/identity/shared_guesses.hpp"
#include "usher/identity/shared_networks.hpp"
#include "usher/identity/stand_in.hpp"
#include "usher/operations/settings.hpp"
#include "usher/operations/survivors.hpp"

namespace usher::identity {

namespace {
constexpr const char *unknown_user = "unknown_user", *wrong_password = "wrong_password", *no_password = "no_password",
                     *account_inactive = "account_inactive", *account_locked = "account_locked",
                     *network_locked = "network_locked", *reset_required = "reset_required", *busy = "busy";

constinit pg::Statement lock_account{R"(
    SELECT failed_login_attempts, spent_permits, last_failed_login_at, locked_until, lockout_count, last_lockout_at,
           reset_required
    FROM usher.credentials
    WHERE user_id = $1 FOR NO KEY UPDATE)"};
constinit pg::Statement save_account{R"(
    UPDATE usher.credentials
    SET failed_login_attempts = $2, spent_permits = $3, last_failed_login_at = $4, locked_until = $5,
        lockout_count = $6, last_lockout_at = $7, reset_required = $8, updated_at = clock_timestamp()
    WHERE user_id = $1)"};
#define NO_FAILURES "failed_login_attempts = 0, spent_permits = 0, locked_until = NULL, updated_at = clock_timestamp()"
// SKIP LOCKED: whoever holds the row counts a failure after this success, or forgets the same failures.
constinit pg::Statement clear_account{"UPDATE usher.credentials SET " NO_FAILURES R"(
    WHERE user_id IN (SELECT c.user_id FROM usher.credentials c WHERE c.user_id = $1
                        AND (c.failed_login_attempts > 0 OR c.spent_permits <> 0) FOR NO KEY UPDATE SKIP LOCKED))"};
#define NO_LOCKOUT NO_FAILURES ", reset_required = false"
constinit pg::Statement open_account{"UPDATE usher.credentials SET " NO_LOCKOUT " WHERE user_id = $1"};
constinit pg::Statement save_hash{"UPDATE usher.credentials SET " NO_LOCKOUT R"(,
        password_hash = $2, password_changed_at = clock_timestamp()
    WHERE user_id = $1
    RETURNING unproven_profile)"};
#undef NO_LOCKOUT
#undef NO_FAILURES

#define NETWORK_COLUMNS                                                                                                \
    "SELECT failed_login_attempts, last_failed_login_at, locked_until, lockout_count, last_lockout_at, "               \
    "failed_names FROM usher.network_failures WHERE network = $1::cidr"
constinit pg::Statement find_network{NETWORK_COLUMNS};
constinit pg::Statement lock_network{NETWORK_COLUMNS " FOR NO KEY UPDATE"};
#undef NETWORK_COLUMNS
constinit pg::Statement add_network{
    "INSERT INTO usher.network_failures (network) VALUES ($1::cidr) ON CONFLICT DO NOTHING"};
constinit pg::Statement save_network{R"(
    UPDATE usher.network_failures
    SET failed_login_attempts = $2, last_failed_login_at = $3, locked_until = $4, lockout_count = $5,
        last_lockout_at = $6, failed_names = $7
    WHERE network = $1::cidr)"};
// Nobody holds it, or this once nothing is taken back: a login does not wait for others.
constinit pg::Statement try_network{R"(
    SELECT failed_login_attempts, failed_names
    FROM usher.network_failures
    WHERE network = $1::cidr FOR NO KEY UPDATE SKIP LOCKED)"};
constinit pg::Statement forgive_network{R"(
    UPDATE usher.network_failures
    SET failed_login_attempts = $2, failed_names = $3, locked_until = CASE WHEN $2 > 0 THEN locked_until END
    WHERE network = $1::cidr)"};

constinit pg::Statement add_attempt{R"(
    INSERT INTO usher.login_attempts AS a (email, user_id, client_ip, user_agent, success, failure_reason, retry_after)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    RETURNING to_jsonb(a)::text)"};

constinit pg::Statement describe_lock{R"(
    SELECT jsonb_build_object('user_id', $1, 'locked_until', $2, 'reset_required', $3)::text)",
                                      pg::Access::read};

constinit pg::Statement count_code_tries{
    "UPDATE usher.one_time_codes SET wrong_tries = wrong_tries + $2 WHERE id = $1"};

pg::Param instant_or_null(Instant instant) {
    return instant == 0 ? pg::null(TIMESTAMPTZOID) : pg::timestamptz(instant);
}

LockoutState network_state(const pg::Row &row) {
    LockoutState state;
    state.failures = row.int4(0);
    state.last_failure = row.optional_time(1).value_or(0);
    state.locked_until = row.optional_time(2).value_or(0);
    state.lockout_count = row.int4(3);
    state.last_lock = row.optional_time(4).value_or(0);
    return state;
}

void tell_lock(const Uuid &user_id, const LockoutState &state) {
    const std::string data = json::Object()
                                 .add("failed_login_attempts", std::int64_t{state.failures})
                                 .add("seconds", lock_seconds(state.failures, account_rules()))
                                 .add("reset_required", state.reset_required)
                                 .text();
    record({"user.locked", data, "warning"}, user_id);
    const pg::Rows payload =
        describe_lock.run({pg::uuid(user_id), instant_or_null(state.locked_until), pg::boolean(state.reset_required)});
    publish("user.locked", payload.front().string(0), user_id);
}

// As many bits as failures: the permits that are left must be those that the threshold leaves, also when a failure had
// no permit of its own because it was counted in shared memory.
std::uint64_t spend_one(std::uint64_t spent, std::uint64_t bit) { return bit != 0 ? spent | bit : spent | (spent + 1); }

void count_account_failure(const Uuid &user_id, std::uint64_t bit, std::int32_t count, Instant now) {
    const pg::Rows rows = lock_account.run({pg::uuid(user_id)});
    if (rows.empty()) return; // erased meanwhile, or a name that nobody has
    const pg::Row row = rows.front();
    LockoutState state;
    state.failures = row.int4(0);
    auto spent = static_cast<std::uint64_t>(row.int8(1));
    state.last_failure = row.optional_time(2).value_or(0);
    state.locked_until = row.optional_time(3).value_or(0);
    state.lockout_count = row.int4(4);
    state.last_lock = row.optional_time(5).value_or(0);
    state.reset_required = row.boolean(6);
    const Instant locked_before = state.locked_until;
    for (std::int32_t i = 0; i < count; ++i) {
        state = after_failure(state, account_rules(), now);
        spent = spend_one(spent, bit);
    }
    save_account.run({pg::uuid(user_id), pg::int4(state.failures), pg::int8(static_cast<std::int64_t>(spent)),
                      instant_or_null(state.last_failure), instant_or_null(state.locked_until),
                      pg::int4(state.lockout_count), instant_or_null(state.last_lock),
                      pg::boolean(state.reset_required)});
    if (state.locked_until != locked_before) tell_lock(user_id, state);
}

LockoutState with_unseen_network(LockoutState state, const std::string &network) {
    return shared_guesses::with_unseen(state, shared_networks::look(network), network_rules());
}

// The same name in other letters is the same name. What is no name at all is taken as it is.
std::string folded(std::string_view name) {
    if (std::optional<std::string> key = name_key(name)) return *std::move(key);
    std::string lower(clip(trim(name), 1024));
    for (char &c : lower) c = to_lower(c);
    return lower;
}

/// Of several only the last one's name is known.
void write_network_failures(const std::string &network, std::int32_t count, std::string_view name) {
    add_network.run({pg::text(network)});
    const pg::Rows rows = lock_network.run({pg::text(network)});
    if (rows.empty()) return;
    LockoutState state = network_state(rows.front());
    std::string names = rows.front().string(5);
    for (std::int32_t i = 0; i < count; ++i) {
        state = after_failure(state, network_rules(), pg::clock_time());
        names = failed_names::with(names, i + 1 < count ? failed_names::key_of({}) : std::string(name));
    }
    save_network.run({pg::text(network), pg::int4(state.failures), instant_or_null(state.last_failure),
                      instant_or_null(state.locked_until), pg::int4(state.lockout_count),
                      instant_or_null(state.last_lock), pg::bytea(names)});
}

/// A success takes back what its own name has failed. Guesses at others' accounts stay, or a login to one's own account
/// between them would keep the network open for ever.
void forgive_network_failures(const std::string &network, const Account &account, std::string_view name) {
    if (network.empty()) return;
    std::vector<std::string> keys;
    for (const std::string_view each : {name, std::string_view(account.email), std::string_view(account.username)})
        if (!each.empty()) keys.push_back(failed_names::key_of(sha256_bytes(folded(each))));
    shared_networks::forget(network, keys);
    const pg::Rows found = find_network.run({pg::text(network)});
    if (found.empty() || failed_names::without(found.front().text(5), keys).removed == 0) return;
    const pg::Rows rows = try_network.run({pg::text(network)});
    if (rows.empty()) return;
    const failed_names::Without rest = failed_names::without(rows.front().text(1), keys);
    forgive_network.run(
        {pg::text(network), pg::int4(std::max(0, rows.front().int4(0) - rest.removed)), pg::bytea(rest.names)});
}

void count_network_failure(const std::string &network, std::string_view name) {
    if (network.empty()) return;
    const std::string key = failed_names::key_of(sha256_bytes(name));
    const pg::Rows rows = find_network.run({pg::text(network)});
    if (!rows.empty() && failed_names::is_last(rows.front().text(5), key)) return;
    // Counted in shared memory first: that stays, whatever becomes of the row.
    if (!shared_networks::fail(network, key)) return;
    write_network_failures(network, 1, key);
}

/// Why the password will not be looked at whatever it is; nullptr when it will.
Verdict refuse_unseen(const std::optional<Account> &account, const std::string &network, bool by_password) {
    const Instant now = pg::clock_time();
    if (!network.empty()) {
        const pg::Rows rows = find_network.run({pg::text(network)});
        const LockoutState state =
            with_unseen_network(rows.empty() ? LockoutState{} : network_state(rows.front()), network);
        if (refuses(state, now)) return {network_locked, retry_after(state, now)};
    }
    if (!account) return {unknown_user};
    if (!account->may_log_in()) return {account_inactive};
    if (by_password && account->password_hash.empty()) return {no_password};
    const LockoutState state =
        shared_guesses::with_unseen(account->lockout, shared_guesses::look(account->id), account_rules());
    if (state.reset_required) return {reset_required, -1};
    if (refuses(state, now)) return {account_locked, retry_after(state, now)};
    return {};
}
} // namespace

bool Verdict::is_busy() const { return refusal == busy; }
bool Verdict::is_lock() const {
    return refusal == account_locked || refusal == network_locked || refusal == reset_required;
}

namespace {
enum class Reply { is_right, is_wrong, no_turn };

/// How a guess is evaluated.
struct Question {
    const char *wrong;                   // failure_reason of a wrong answer
    bool by_password;                    // an account without a password cannot be guessed then
    std::function<Reply(bool real)> ask; // real: false when the answer is no anyway, and only the work counts
};

Verdict judge(const std::optional<Account> &account, std::string_view name, const Origin &origin,
              const Question &question) {
    const std::string network = network_of(origin);
    const std::string subject = folded(name);
    Verdict verdict = refuse_unseen(account, network, question.by_password);
    // A crowd from one network is not worth a hash each. The answer is the same, and as quick, for every name.
    if (verdict.refusal == network_locked) return verdict;
    const bool counts = verdict.is_right() || verdict.refusal == unknown_user || verdict.refusal == account_inactive ||
                        verdict.refusal == no_password;

    std::optional<GuessPermit> chosen;
    if (verdict.is_right())
        chosen.emplace(*account);
    else
        chosen.emplace(subject);
    GuessPermit &permit = *chosen;
    if (counts) {
        switch (permit.enter()) {
        case Admission::granted: break;
        case Admission::busy: return {busy, 1};
        case Admission::refused: {
            const std::int64_t seconds = retry_after(permit.state(), pg::clock_time());
            verdict = {seconds < 0 ? reset_required : account_locked, seconds};
        }
        }
    }
    const Reply reply = question.ask(verdict.is_right());
    if (reply == Reply::no_turn) {
        permit.leave();
        return {busy, 1};
    }
    if (verdict.is_right() && reply == Reply::is_right) {
        permit.leave();
        return verdict;
    }
    if (verdict.is_right()) {
        verdict.refusal = question.wrong;
        permit.spend();
        count_account_failure(account->id, permit.bit(), 1, pg::clock_time());
    } else {
        permit.leave();
    }
    if (counts && !verdict.is_lock()) count_network_failure(network, subject);
    return verdict;
}
} // namespace

Verdict evaluate_guess(const std::optional<Account> &account, std::string_view name, std::string_view password,
                       const Origin &origin) {
    bool needs_rehash = false;
    const auto ask = [&](bool real) {
        const HashTurn turn;
        if (!turn) return Reply::no_turn;
        // Whatever is wrong, one evaluation is done: timing reveals nothing. Accounts that were imported differ in what
        // theirs costs, and so do the names that nobody has.
        const std::string stored =
            account && !account->password_hash.empty() ? account->password_hash : stand_in_hash(folded(name));
        const PasswordCheck check = check_password(password, stored);
        needs_rehash = check.needs_rehash;
        return real && check.matches ? Reply::is_right : Reply::is_wrong;
    };
    Verdict verdict = judge(account, name, origin, {wrong_password, true, ask});
    verdict.needs_rehash = verdict.is_right() && needs_rehash;
    return verdict;
}

Verdict evaluate_code(const Account &account, const Origin &origin, const char *wrong,
                      const std::function<bool()> &is_right) {
    const auto ask = [&](bool real) { return real && is_right() ? Reply::is_right : Reply::is_wrong; };
    return judge(account, account.email, origin, {wrong, false, ask});
}

void count_network_guess(const Origin &origin, std::string_view name) {
    count_network_failure(network_of(origin), folded(name));
}

bool is_network_locked(const Origin &origin) {
    const std::string network = network_of(origin);
    if (network.empty()) return false;
    const pg::Rows rows = find_network.run({pg::text(network)});
    const LockoutState state =
        with_unseen_network(rows.empty() ? LockoutState{} : network_state(rows.front()), network);
    return refuses(state, pg::clock_time());
}

void count_network_failures(const std::string &network, std::int32_t count, std::string_view last_name) {
    write_network_failures(network, count, last_name);
}

void forget_failures(const Account &account, const Origin &origin, std::string_view name) {
    clear_account.run({pg::uuid(account.id)});
    shared_guesses::forget(account.id);
    forgive_network_failures(network_of(origin), account, name);
}

void record_attempt(std::string_view name, const std::optional<Account> &account, const Origin &origin,
                    const Verdict &verdict) {
    const std::string recorded = account ? normalize_name(name).value_or(account->email) : recordable_name(name);
    const std::optional<Uuid> user = account ? std::optional(account->id) : std::nullopt;
    const pg::Rows rows = add_attempt.run(
        {pg::text(recorded), pg::uuid_or_null(user ? &*user : nullptr), pg::inet_or_null(origin.address),
         pg::text_unless_empty(origin.agent), pg::boolean(verdict.is_right()),
         verdict.is_right() ? pg::null(TEXTOID) : pg::text(verdict.refusal),
         verdict.retry_after == 0 ? pg::null(INT4OID) : pg::int4(static_cast<std::int32_t>(verdict.retry_after))});
    operations::survive_rollback("login_attempts", rows.front().text(0));
}

const char *public_error(const Verdict &verdict) {
    if (verdict.is_right()) return nullptr;
    if (verdict.is_busy()) return "busy";
    return verdict.is_lock() && guc::reveal_lockout ? "account_locked" : "invalid_credentials";
}

std::int64_t public_retry_after(const Verdict &verdict) {
    if (verdict.is_busy()) return verdict.retry_after;
    return verdict.is_lock() && guc::reveal_lockout && verdict.retry_after > 0 ? verdict.retry_after : 0;
}

void count_failures(const Uuid &subject, std::int32_t count, Instant last_failure) {
    count_account_failure(subject, 0, count, last_failure);
    count_code_tries.run({pg::uuid(subject), pg::int4(count)});
}

void unlock(const Uuid &user_id) {
    open_account.run({pg::uuid(user_id)});
    shared_guesses::forget(user_id);
}

bool set_hash(const Uuid &user_id, const std::string &hash) {
    const pg::Rows rows = save_hash.run({pg::uuid(user_id), pg::text_unless_empty(hash)});
    shared_guesses::forget(user_id);
    return !rows.empty() && rows.front().boolean(0);
}

} // namespace usher::identity
