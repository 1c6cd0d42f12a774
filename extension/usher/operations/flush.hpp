// How a flush writes rows: one that somebody else has locked, or that cannot be written, waits without keeping the
// others, and whoever looks at usher.health() is told.
#pragma once
#include "pg/lock_patience.hpp"
#include "pg/subxact.hpp"
#include "pg/value.hpp"
#include "usher/operations/worker.hpp"
#include <span>

namespace usher::operations {

constexpr int row_lock_ms = 100;                  // for the locks of one row
constexpr Instant patience_us = 1'000'000;        // for all rows of a flush that cannot be written
constexpr Instant postponed_us = 5LL * 1'000'000; // until one of them is tried again

/// Calls write(item) for each item, in subtransactions of up to `part` items: together at first, and when that fails,
/// one by one. For an item that cannot be written now postpone(item, until) is called; the rest is written. When too
/// much time was spent on such items, those that are left are neither written nor postponed.
template <std::size_t part = 16, class T, class Write, class Postpone>
void write_each(std::span<const T> items, Write &&write, Postpone &&postpone) {
    const pg::LockPatience patience(row_lock_ms);
    const Instant give_up_at = pg::clock_time() + patience_us;
    for (; !items.empty(); items = items.subspan(std::min(part, items.size()))) {
        const std::span<const T> some = items.first(std::min(part, items.size()));
        const pg::Refusal together = pg::attempt([&] {
            for (const T &item : some) write(item);
        });
        if (!together) continue;
        for (const T &item : some) {
            if (pg::clock_time() > give_up_at) return;
            const pg::Refusal refusal = pg::attempt([&] { write(item); });
            if (!refusal) continue;
            tell_postponed(1, refusal.error->message);
            postpone(item, pg::clock_time() + postponed_us);
        }
    }
}

} // namespace usher::operations
