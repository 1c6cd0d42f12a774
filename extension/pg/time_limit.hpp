// How long a call may take.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

namespace detail {
/// False when a limit is in force already: limits do not nest.
bool arm_time_limit(int seconds);
/// Whether the time was up.
bool disarm_time_limit() noexcept;
} // namespace detail

/// Runs f, and cancels it after so many seconds (0: never), and every second again in case it goes on. The cancel then
/// arrives as an error with `message` that can be caught like any other, for it is one call's fault. A cancel for
/// another reason goes on as what it is.
template <class F> void within(int seconds, const char *message, F &&f) {
    if (seconds == 0 || !detail::arm_time_limit(seconds)) return f();
    try {
        f();
        detail::disarm_time_limit();
        return;
    } catch (const PgError &error) {
        const bool is_over = detail::disarm_time_limit();
        if (!is_over || error.edata->sqlerrcode != ERRCODE_QUERY_CANCELED) throw;
    } catch (...) {
        detail::disarm_time_limit();
        throw;
    }
    throw Error("53400", message);
}

} // namespace usher::pg
