// When a pending booking gives its place back.
#pragma once
#include "common/types.hpp"

namespace usher::slots {

/// A pending booking keeps what it takes until then; without an end, until it is decided. Nobody may have swept it away
/// yet when it is over: whoever counts places or looks for free people has to ask.
struct Hold {
    bool is_pending = false;
    std::optional<Instant> until;
    [[nodiscard]] bool is_over(Instant now) const { return is_pending && until && *until <= now; }
};

/// The same question in SQL, for statements that look for such bookings by the index on hold_expires_at, or ask again
/// once a row is locked: of the row of bookings named `b`, at the moment `now` (a parameter).
#define USHER_HOLD_IS_OVER(b, now) "(" b ".status = 'pending' AND " b ".hold_expires_at <= " now ")"

} // namespace usher::slots
