#include "usher/identity/guess_permits.hpp"
#include "common/digest.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "usher/identity/shared_guesses.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {
constinit pg::Statement look{R"(
    SELECT failed_login_attempts, spent_permits, locked_until, reset_required
    FROM usher.credentials
    WHERE user_id = $1)"};

constexpr int parallel_permits = 62; // as many bits as spent_permits has to spare
constexpr long poll_ms = 5;

// The lock of a permit. Advisory locks that SQL can take have 1 or 2 in the last field: these cannot be taken, seen as
// theirs or released by anybody else.
LOCKTAG permit_lock(const Uuid &subject, int permit) {
    constexpr std::uint16_t lock_class = 0x7500;
    std::uint32_t high, low;
    std::memcpy(&high, subject.bytes.data() + 8, sizeof(high)); // the random half of the uuid
    std::memcpy(&low, subject.bytes.data() + 12, sizeof(low));
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, high, low, static_cast<std::uint16_t>(lock_class + permit));
    return tag;
}

void sleep_a_little() {
    pg::call([] {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, poll_ms, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    });
}
} // namespace

LockoutRules account_rules() {
    LockoutRules rules;
    rules.threshold = guc::lockout_threshold;
    rules.base_s = guc::lockout_base;
    rules.max_s = guc::lockout_max;
    return rules;
}

LockoutRules network_rules() {
    LockoutRules rules = account_rules();
    rules.threshold = guc::network_lockout_threshold;
    rules.reset_required_at = 0;       // nobody can reset a network's password
    rules.forget_s = guc::lockout_max; // addresses change hands
    return rules;
}

GuessPermit::GuessPermit(const Account &account)
    : subject_(account.id), known_(true), state_(account.lockout), spent_(account.spent_permits) {}

GuessPermit::GuessPermit(std::string_view unknown_name) : known_(false) {
    const Sha256 digest = sha256(unknown_name);
    std::copy_n(digest.begin(), subject_.bytes.size(), subject_.bytes.begin());
}

bool GuessPermit::try_permit(int permit) const {
    return pg::call([&] {
        const LOCKTAG tag = permit_lock(subject_, permit);
        return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
    });
}

void GuessPermit::release(int permit) const {
    pg::call([&] {
        const LOCKTAG tag = permit_lock(subject_, permit);
        LockRelease(&tag, ExclusiveLock, false);
    });
}

bool GuessPermit::is_open(int permit) const {
    const int threshold = guc::lockout_threshold;
    const int permits = std::min(threshold, parallel_permits);
    const std::uint64_t all = (std::uint64_t{1} << permits) - 1;
    const bool only_single = state_.failures >= threshold || (spent_ & all) == all;
    if (permit == single) return only_single;
    return !only_single && permit < permits && (spent_ >> permit & 1) == 0;
}

void GuessPermit::look_again() {
    if (!known_) return;
    const pg::Rows rows = look.run({pg::uuid(subject_)});
    if (rows.empty()) return;
    const pg::Row row = rows.front();
    state_.failures = row.int4(0);
    spent_ = static_cast<std::uint64_t>(row.int8(1));
    state_.locked_until = row.optional_time(2).value_or(0);
    state_.reset_required = row.boolean(3);
}

// Entering comes first and reading the row second: a failure that has left the shared counter by then is committed, so
// the row shows it. At worst it is seen twice, and the next look puts that right.
Admission GuessPermit::enter_shared() {
    shared_guesses::Unseen others;
    if (!shared_guesses::enter(subject_, others)) return Admission::busy;
    shared_ = true;
    look_again();
    const LockoutRules rules = account_rules();
    const std::int32_t seen = state_.failures;
    state_ = shared_guesses::with_unseen(state_, others, rules);
    const bool locked = refuses(state_, pg::clock_time());
    // After a lock one at a time, before it as many as are left until the next.
    const std::int32_t left = state_.failures >= rules.threshold ? 1 : rules.threshold - seen - others.failures;
    if (!locked && others.evaluating < left) return Admission::granted;
    leave();
    return locked ? Admission::refused : Admission::busy;
}

Admission GuessPermit::enter() {
    const Instant deadline = pg::clock_time() + std::int64_t{1000} * guc::hash_wait;
    for (;;) {
        if (pg::is_preloaded()) {
            const Admission admission = enter_shared();
            if (admission != Admission::busy) return admission;
            if (pg::clock_time() >= deadline) return admission;
            sleep_a_little();
            continue;
        }
        for (int permit = 0; permit <= single; ++permit) {
            if (!is_open(permit) || !try_permit(permit)) continue;
            // Whoever held it before has committed by now, or given it back: what they left is visible.
            look_again();
            if (refuses(state_, pg::clock_time())) {
                release(permit);
                return Admission::refused;
            }
            if (is_open(permit)) {
                permit_ = permit;
                return Admission::granted;
            }
            release(permit);
        }
        if (pg::clock_time() >= deadline) return Admission::busy;
        sleep_a_little();
        look_again();
        if (refuses(state_, pg::clock_time())) return Admission::refused;
    }
}

void GuessPermit::leave() {
    if (shared_) shared_guesses::leave(subject_);
    shared_ = false;
    if (permit_ >= 0) release(permit_);
    permit_ = -1;
}

// A lock goes with the transaction, whatever happens; a counter has to be put back.
GuessPermit::~GuessPermit() {
    if (shared_) shared_guesses::leave(subject_);
}

void GuessPermit::spend() {
    if (shared_) shared_guesses::fail(subject_);
    shared_ = false;
}

} // namespace usher::identity
