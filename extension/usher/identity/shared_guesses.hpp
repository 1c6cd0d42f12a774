// What tables cannot show yet, kept in shared memory when the library is preloaded: guesses that are being evaluated,
// and failures whose transaction is open or was rolled back. With it, counting is exact and survives ROLLBACK.
//
// The failures of an account are those of its row that this transaction sees, plus those of open transactions of
// others, plus those that were rolled back and not written yet; the background worker writes the latter within
// usher.flush_interval. A crash of the server forgets them, nothing else does.
#pragma once
#include "common/types.hpp"
#include "usher/identity/lockout.hpp"
#include <optional>

namespace usher::identity::shared_guesses {

/// Failures beyond those that this transaction can see in the table.
struct Unseen {
    std::int32_t evaluating = 0; // by others, now
    std::int32_t failures = 0;   // of open transactions of others, and rolled back ones
    Instant last_failure = 0;
};

/// Is there room to count in? Without it (no preload, or the map is full) the guess permits of the lock table do the
/// work.
bool enter(const Uuid &subject, Unseen &others); // one more evaluating; `others` without this one
/// The guess that entered is over, without a failure.
void leave(const Uuid &subject) noexcept;
/// The guess that entered has failed; the failure stays whatever becomes of the transaction.
void fail(const Uuid &subject);
/// A failure without a guess permit, of a subject that whoever counts has locked; nothing without preload.
void count(const Uuid &subject);
/// What others are doing, without entering.
Unseen look(const Uuid &subject);
/// A success or an unlock forgets what was rolled back.
void forget(const Uuid &subject);

/// The state of an account with the failures that its row does not show.
LockoutState with_unseen(LockoutState state, const Unseen &unseen, const LockoutRules &rules);

} // namespace usher::identity::shared_guesses
