// How long a call may take.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

namespace detail {
/// False when a limit is in force already: limits do not nest.
bool arm_time_limit(int seconds);
/// Whether the time was up.
bool disarm_time_limit() noexcept;
/// Whether code has failed in a way that plpgsql's OTHERS does not catch, though nobody has cancelled it.
bool passes_handlers(const ErrorData &error);
} // namespace detail

/// Runs code of others, and cancels it after so many seconds (0: never), and every second again in case it goes on. The
/// cancel then arrives as an error with `message` that can be caught like any other, for it is one call's fault; so do
/// a failed ASSERT and a cancel that the code itself has raised, which a handler for others (WHEN OTHERS) would let
/// pass. A cancel for another reason goes on as what it is.
template <class F> void within(int seconds, const char *message, F &&f) {
    const bool is_limited = seconds > 0 && detail::arm_time_limit(seconds);
    std::optional<std::string> failure;
    try {
        f();
        if (is_limited) detail::disarm_time_limit();
        return;
    } catch (const PgError &error) {
        const bool is_over = is_limited && detail::disarm_time_limit();
        if (!(is_over && error.edata->sqlerrcode == ERRCODE_QUERY_CANCELED)) {
            if (!detail::passes_handlers(*error.edata)) throw;
            failure = error.edata->message;
        }
    } catch (...) {
        if (is_limited) detail::disarm_time_limit();
        throw;
    }
    throw failure ? Error("38000", *failure) : Error("53400", message);
}

} // namespace usher::pg
