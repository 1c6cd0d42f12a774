// For answers that are kept from one call to the next: may this one be given again? Asked for every row of a scan, so
// it is two comparisons.
#pragma once
#include "pg/pg.hpp"

namespace usher::pg {

/// Moves on whenever something changes that a kept answer may rest on: news for a cache arrived, a cache dropped an
/// entry, or the state of the transaction (the identity above all) was set, rolled back or ended.
inline constinit std::uint64_t epoch = 1;

/// A point in the life of the backend. Remember it before working the answer out, and after taking in what has been
/// announced (Invalidation::generation()): then whatever happens meanwhile makes it the past.
class Moment {
public:
    constexpr Moment() = default; // never
    static Moment now() { return {GetCurrentStatementStartTimestamp(), epoch}; }
    [[nodiscard]] bool is_now() const { return epoch_ == epoch && statement_ == GetCurrentStatementStartTimestamp(); }

private:
    Moment(TimestampTz statement, std::uint64_t at) : statement_(statement), epoch_(at) {}
    TimestampTz statement_ = 0; // the next statement of the client must look for news again
    std::uint64_t epoch_ = 0;
};

} // namespace usher::pg
