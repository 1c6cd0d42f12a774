#include "pg/time_limit.hpp"

namespace usher::pg::detail {

namespace {
constinit bool registered = false, armed = false;
constinit TimeoutId timeout{};
volatile sig_atomic_t is_over = 0;

// Runs in a signal handler: it sets flags, and the server wakes whoever waits.
void time_is_up() {
    is_over = 1;
    QueryCancelPending = 1;
    InterruptPending = 1;
}
} // namespace

bool arm_time_limit(int seconds) {
    if (armed && get_timeout_active(timeout)) return false; // else an error has ended it
    call([&] {
        if (!registered) {
            timeout = RegisterTimeout(USER_TIMEOUT, time_is_up);
            registered = true;
        }
        is_over = 0;
        enable_timeout_every(timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), int64{1000} * seconds), 1000);
    });
    armed = true;
    return true;
}

bool disarm_time_limit() noexcept {
    disable_timeout(timeout, false);
    armed = false;
    if (is_over != 0) QueryCancelPending = 0; // one that nobody has noticed
    return is_over != 0;
}

bool passes_handlers(const ErrorData &error) {
    if (error.sqlerrcode == ERRCODE_ASSERT_FAILURE) return true;
    if (error.sqlerrcode != ERRCODE_QUERY_CANCELED || error.filename == nullptr) return false;
    // the server's own cancels, for a request or a time limit, come from where it looks for interrupts
    return !std::string_view(error.filename).ends_with("postgres.c");
}

} // namespace usher::pg::detail
