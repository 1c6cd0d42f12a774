// Failures of guesses that no table shows: those of transactions that are still open, and those that were rolled back.
// They are counted in entries of a map in shared memory, one for whoever is guessed at (an account, a network).
#pragma once
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include <cstdint>
#include <vector>

namespace usher::identity {

/// The failures in the entries of `map`. Key is comparable and has a member `database`; Entry has `open` and
/// `rolled_back`, and is_idle() when nothing is to be remembered of it.
template <class Key, class Entry, pg::SharedMap<Key, Entry> &map> class UnsettledFailures {
public:
    /// Failures of this transaction, which count as open until it ends; then they stand in the table, or were rolled
    /// back. To be called before the entry counts them: it may fail.
    static void add(const Key &key, std::int32_t count) { pending_.add({key, count}); }

    /// Those of this transaction, whose statements see them in the table.
    static std::int32_t own(const Key &key) {
        std::int32_t count = 0;
        pending_.for_each([&](const Pending &pending) {
            if (pending.key == key) count += pending.count;
        });
        return count;
    }

    /// Those beyond the own ones.
    static std::int32_t of_others(const Entry &entry, std::int32_t own) {
        return std::max(entry.open - own, 0) + entry.rolled_back;
    }

    /// Entries with failures that were rolled back, a batch of this database. They become failures of this transaction,
    /// which is about to write them to the table.
    static std::vector<Entry> take_rolled_back() {
        constexpr std::size_t batch_size = 64;
        std::vector<Entry> taken;
        taken.reserve(batch_size);
        map.locked([&](auto &locked) {
            locked.for_each([&](Entry &entry) {
                if (entry.key.database == MyDatabaseId && entry.rolled_back > 0) {
                    taken.push_back(entry); // reserved: cannot throw
                    entry.open += entry.rolled_back;
                    entry.rolled_back = 0;
                }
                return taken.size() < batch_size;
            });
        });
        for (const Entry &entry : taken) add(entry.key, entry.rolled_back);
        return taken;
    }

    static void forget_rolled_back(const Key &key) {
        map.locked([&](auto &locked) {
            Entry *const entry = locked.find(key);
            if (entry == nullptr) return;
            entry->rolled_back = 0;
            if (entry->is_idle()) locked.remove(key);
        });
    }

private:
    struct Pending {
        Key key;
        std::int32_t count;
    };

    static void settle(const Pending &pending, bool committed) noexcept {
        map.locked([&](auto &locked) {
            Entry *const entry = locked.find(pending.key);
            if (entry == nullptr) return;
            entry->open -= pending.count;
            if (!committed) entry->rolled_back += pending.count;
            if (entry->is_idle()) locked.remove(pending.key);
        });
    }

    static constinit inline pg::OnEnd<Pending, settle> pending_;
};

} // namespace usher::identity
