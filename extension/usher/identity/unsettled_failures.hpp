// Failures of guesses that no table shows: those of transactions that are still open, and those that were rolled back.
// They are counted in entries of a map in shared memory, one for whoever is guessed at (an account, a network).
//
// A prepared transaction belongs to no backend. What it counted is kept in a second map under
// its id, and whoever looks next after its end settles it: with COMMIT PREPARED the table has the failures, with
// ROLLBACK PREPARED they were rolled back. A restart of the server in between forgets the note: then they count with a
// commit only, and never twice.
#pragma once
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "usher/operations/flush.hpp"
#include <cstdint>
#include <vector>

namespace usher::identity {

template <class Key> struct PreparedKey {
    Key key;
    std::uint32_t transaction; // the lower half of its id
};

/// Failures that a prepared transaction has counted.
template <class Key> struct PreparedFailures {
    PreparedKey<Key> key;
    std::uint64_t transaction;
    std::int32_t count;
    bool is_prepared; // false: is about to be
};

constexpr long prepared_capacity = 4096; // failures of transactions that are prepared, one for each account or network

/// The failures in the entries of `map`. Key is comparable and has a member `database`; Entry has `open`, `rolled_back`
/// and `postponed_until`, and is_idle() when nothing is to be remembered of it.
template <class Key, class Entry, pg::SharedMap<Key, Entry> &map,
          pg::SharedMap<PreparedKey<Key>, PreparedFailures<Key>> &prepared>
class UnsettledFailures {
public:
    /// Failures of this transaction, which count as open until it ends; then they stand in the table, or were rolled
    /// back. To be called before the entry counts them: it may fail.
    static void add(const Key &key, std::int32_t count) {
        noted_ = false;
        pending_.add({key, count});
    }

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

    /// Settles what prepared transactions counted that have ended. To be called before an entry is looked at.
    static void settle_prepared() {
        const std::size_t noted = prepared.locked([](auto &locked) { return locked.size(); });
        if (noted == 0) return;
        std::vector<std::uint64_t> transactions;
        transactions.reserve(noted);
        prepared.locked([&](auto &locked) {
            locked.for_each([&](const PreparedFailures<Key> &note) {
                if (note.is_prepared) transactions.push_back(note.transaction); // reserved: cannot throw
                return transactions.size() < noted;
            });
        });
        std::sort(transactions.begin(), transactions.end());
        transactions.erase(std::unique(transactions.begin(), transactions.end()), transactions.end());
        for (const std::uint64_t transaction : transactions) {
            const pg::Outcome outcome = pg::outcome_of(transaction);
            if (outcome != pg::Outcome::in_progress)
                settle_notes(transaction, noted, outcome != pg::Outcome::rolled_back); // forgotten: never twice
        }
    }

    /// Writes failures that were rolled back, those of a batch of entries of this database, by calling write(entry) for
    /// each with the failures in entry.rolled_back. What cannot be written now stays for later.
    template <class Write> static void flush(Write &&write) {
        settle_prepared();
        constexpr std::size_t batch_size = 64;
        std::vector<Key> keys;
        keys.reserve(batch_size);
        const Instant now = pg::clock_time();
        std::size_t postponed = 0;
        map.locked([&](auto &locked) {
            locked.for_each([&](const Entry &entry) {
                if (entry.key.database != MyDatabaseId || entry.rolled_back <= 0) return true;
                if (entry.postponed_until > now)
                    ++postponed;
                else
                    keys.push_back(entry.key); // reserved: cannot throw
                return keys.size() < batch_size;
            });
        });
        operations::tell_postponed(postponed);
        operations::write_each(
            std::span<const Key>(keys),
            [&](const Key &key) {
                if (const std::optional<Entry> taken = take_rolled_back(key)) write(*taken);
            },
            [](const Key &key, Instant until) {
                map.locked([&](auto &locked) {
                    if (Entry *const entry = locked.find(key)) entry->postponed_until = until;
                });
            });
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

    static PreparedKey<Key> note_key(const Key &key) { return {key, static_cast<std::uint32_t>(pg::transaction_id())}; }

    // They become failures of this (sub)transaction, which is about to write them to the table.
    static std::optional<Entry> take_rolled_back(const Key &key) {
        std::optional<Entry> taken = map.locked([&](auto &locked) {
            const Entry *const entry = locked.find(key);
            return entry == nullptr ? std::nullopt : std::optional(*entry);
        });
        if (!taken || taken->rolled_back <= 0) return std::nullopt; // a success has forgotten them
        add(key, 0);
        Pending &pending = pending_.newest();
        map.locked([&](auto &locked) {
            Entry *const entry = locked.find(key);
            if (entry == nullptr) return;
            taken = *entry;
            pending.count = entry->rolled_back;
            entry->open += entry->rolled_back;
            entry->rolled_back = 0;
        });
        if (pending.count == 0) return std::nullopt;
        return taken;
    }

    static void settle_locked(auto &locked, const Key &key, std::int32_t count, bool committed) {
        Entry *const entry = locked.find(key);
        if (entry == nullptr) return;
        entry->open -= count;
        if (!committed) entry->rolled_back += count;
        if (entry->is_idle()) locked.remove(key);
    }

    static void settle_notes(std::uint64_t transaction, std::size_t most, bool committed) {
        std::vector<Pending> over;
        over.reserve(most);
        prepared.locked([&](auto &locked) {
            locked.for_each([&](const PreparedFailures<Key> &note) {
                if (!note.is_prepared || note.transaction != transaction) return true;
                over.push_back({note.key.key, note.count}); // reserved: cannot throw
                locked.remove(note.key);
                return over.size() < most;
            });
        });
        map.locked([&](auto &locked) {
            for (const Pending &pending : over) settle_locked(locked, pending.key, pending.count, committed);
        });
    }

    static void settle(const Pending &pending, pg::End end) noexcept {
        if (noted_) {
            prepared.locked([&](auto &locked) {
                const PreparedKey<Key> key = note_key(pending.key);
                PreparedFailures<Key> *const note = locked.find(key);
                if (note == nullptr) return;
                if (end == pg::End::prepared)
                    note->is_prepared = true;
                else // PREPARE TRANSACTION has failed
                    locked.remove(key);
            });
        }
        if (end == pg::End::prepared) return; // open until it is known what becomes of them
        map.locked([&](auto &locked) { settle_locked(locked, pending.key, pending.count, end == pg::End::committed); });
    }

    // Takes the room for a note while PREPARE TRANSACTION can still be refused.
    static bool make_note(const Pending &pending) noexcept {
        noted_ = true;
        return prepared.locked([&](auto &locked) {
            PreparedFailures<Key> *const note = locked.find_or_add(note_key(pending.key));
            if (note == nullptr) return false;
            note->transaction = pg::transaction_id();
            note->count += pending.count;
            return true;
        });
    }

    static constinit inline bool noted_ = false; // whether this transaction has notes
    static constinit inline pg::OnEnd<Pending, settle, make_note> pending_;
};

} // namespace usher::identity
