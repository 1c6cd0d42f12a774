#include "usher/operations/survivors.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "usher/operations/flush.hpp"

using namespace usher;

namespace {
constexpr long capacity = 2048; // 16 MB; more rolled back refusals than this within usher.flush_interval are an attack
constexpr std::size_t max_row = 8000;

struct Key {
    std::uint64_t random; // no order is kept: rows carry their own time
};

struct Waiting {
    Key key;
    Oid database;
    std::uint32_t size;
    std::uint64_t transaction; // a prepared one, of which it is not known yet whether it is rolled back; or 0
    Instant postponed_until;   // the table was locked
    char table[NAMEDATALEN];
    char row[max_row];
};

struct CounterKey {
    std::uint32_t which;
};
struct Counter {
    CounterKey key;
    std::int64_t value;
};

pg::SharedMap<Key, Waiting> queue{"usher survivors", capacity};
pg::SharedMap<CounterKey, Counter> counters{"usher survivor counters", 1};
constexpr CounterKey lost_key{0};

void count_lost() {
    counters.locked([](auto &map) {
        if (Counter *const lost = map.find_or_add(lost_key)) ++lost->value;
    });
}

struct Candidate { // text lives until the end of the transaction
    std::string_view table, row;
};

void settle(const Candidate &candidate, pg::End end) noexcept {
    if (end == pg::End::committed) return;
    Key key{};
    const bool added = pg_strong_random(&key, sizeof key) && queue.locked([&](auto &map) {
        Waiting *const waiting = map.find_or_add(key);
        if (waiting == nullptr) return false;
        waiting->database = MyDatabaseId;
        waiting->transaction = end == pg::End::prepared ? pg::transaction_id() : 0;
        waiting->size = static_cast<std::uint32_t>(candidate.row.size());
        std::memcpy(waiting->row, candidate.row.data(), candidate.row.size());
        std::memcpy(waiting->table, candidate.table.data(), candidate.table.size()); // the rest is zero
        return true;
    });
    if (!added) count_lost();
}

constinit pg::OnEnd<Candidate, settle> candidates;

constinit pg::Statement write_again{"SELECT usher._write_survivor($1, $2)"};

// Rows that stand in the table now. Should the writing be rolled back, they still wait.
void forget(const Key &key, pg::End end) noexcept {
    if (end == pg::End::committed) queue.locked([&](auto &map) { map.remove(key); });
}
constinit pg::OnEnd<Key, forget> written;

// Rows of prepared transactions that have ended: a commit has written them, and after a rollback they are to be
// written.
void settle_prepared() {
    std::vector<std::uint64_t> transactions;
    transactions.reserve(capacity);
    queue.locked([&](auto &map) {
        map.for_each([&](const Waiting &waiting) {
            if (waiting.database == MyDatabaseId && waiting.transaction != 0 && transactions.size() < capacity)
                transactions.push_back(waiting.transaction); // reserved: cannot throw
            return true;
        });
    });
    std::sort(transactions.begin(), transactions.end());
    transactions.erase(std::unique(transactions.begin(), transactions.end()), transactions.end());
    for (const std::uint64_t transaction : transactions) {
        const pg::Outcome outcome = pg::outcome_of(transaction);
        if (outcome == pg::Outcome::in_progress) continue;
        queue.locked([&](auto &map) {
            map.for_each([&](Waiting &waiting) {
                if (waiting.transaction != transaction) return true;
                if (outcome == pg::Outcome::committed)
                    map.remove(waiting.key);
                else // also when it is forgotten: a row that is there is not written twice
                    waiting.transaction = 0;
                return true;
            });
        });
    }
}

// At most one batch a call, so that the transaction stays short.
void write_batch() {
    settle_prepared();
    std::vector<Waiting> batch;
    constexpr std::size_t batch_size = 256;
    batch.reserve(batch_size);
    const Instant now = pg::clock_time();
    std::size_t postponed = 0;
    queue.locked([&](auto &map) {
        map.for_each([&](const Waiting &waiting) {
            if (waiting.database != MyDatabaseId || waiting.transaction != 0) return true;
            if (waiting.postponed_until > now)
                ++postponed;
            else
                batch.push_back(waiting); // reserved: cannot throw
            return batch.size() < batch_size;
        });
    });
    operations::tell_postponed(postponed);
    operations::write_each<64>(
        std::span<const Waiting>(batch),
        [](const Waiting &waiting) {
            write_again.run({pg::text(waiting.table), pg::jsonb({waiting.row, waiting.size})});
            written.add(waiting.key);
        },
        [](const Waiting &waiting, Instant until) {
            queue.locked([&](auto &map) {
                if (Waiting *const queued = map.find(waiting.key)) queued->postponed_until = until;
            });
        });
}

[[maybe_unused]] const bool enlisted =
    (operations::flush_regularly("writing rows that outlive a rollback", write_batch), true);
} // namespace

namespace usher::operations {

void survive_rollback(std::string_view table, std::string_view row) {
    if (!pg::is_preloaded()) return;
    if (row.size() > max_row || table.size() >= NAMEDATALEN) return count_lost();
    candidates.add({pg::keep_for_transaction(table), pg::keep_for_transaction(row)});
}

long lost_survivors() {
    if (!pg::is_preloaded()) return 0;
    return counters.locked([](auto &map) {
        const Counter *const lost = map.find(lost_key);
        return lost == nullptr ? 0L : static_cast<long>(lost->value);
    });
}

} // namespace usher::operations
