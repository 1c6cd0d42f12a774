// Requests that anybody may make about any address take at least 20 ms, whatever they found, so that the clock does not
// tell who has an account. What is done for an account takes about one.
#pragma once
#include "pg/value.hpp"

namespace usher::identity {

class ConstantTime {
public:
    /// Waits until 20 ms after this object was made.
    void wait() const {
        const std::int64_t left = least_us - (pg::clock_time() - start_);
        if (left <= 0) return;
        pg::call([&] {
            (void)WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, static_cast<long>(left / 1000 + 1),
                            PG_WAIT_EXTENSION);
            CHECK_FOR_INTERRUPTS();
        });
    }

private:
    static constexpr std::int64_t least_us = 20000;
    Instant start_ = pg::clock_time();
};

} // namespace usher::identity
