// Admission control of password hashing: a hash costs tens of milliseconds and megabytes on purpose, so only so many
// run at once over all backends (usher.max_concurrent_hashes). Without preload there is nothing to count in, and
// everybody is let in.
#pragma once

namespace usher::identity {

/// The right to compute hashes, one at a time, held while the object lives.
///
///     const HashTurn turn;             // waits at most usher.hash_wait; a query cancel ends the waiting
///     if (!turn) return busy;
class HashTurn {
public:
    HashTurn();
    ~HashTurn();
    HashTurn(const HashTurn &) = delete;
    HashTurn &operator=(const HashTurn &) = delete;
    explicit operator bool() const { return admitted_; }

private:
    bool counted_;
    bool admitted_ = false;
};

/// How many hashes are being computed now, in all databases.
int running_hashes();

} // namespace usher::identity
