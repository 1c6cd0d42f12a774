// Admission control of password hashing: a hash costs tens of milliseconds and megabytes on purpose, so only so many
// run at once over all backends (usher.max_concurrent_hashes). Without preload there is nothing to count in, and
// everybody is let in.
#pragma once
#include <cstdint>

namespace usher::identity {

/// Whose hash it is. Accounts come first where turns are short, but cannot take them all: of several turns one is free
/// for everything else when nothing else runs. Everything else never has more than half of them.
enum class HashFor : std::uint8_t { accounts, everything_else };

/// The right to compute hashes, one at a time, held while the object lives.
///
///     const HashTurn turn;             // waits at most usher.hash_wait; a query cancel ends the waiting
///     if (!turn) return busy;
class HashTurn {
public:
    explicit HashTurn(HashFor purpose = HashFor::accounts);
    ~HashTurn();
    HashTurn(const HashTurn &) = delete;
    HashTurn &operator=(const HashTurn &) = delete;
    explicit operator bool() const { return admitted_; }

private:
    bool counted_;
    bool admitted_ = false;
};

} // namespace usher::identity
