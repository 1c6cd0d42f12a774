#include "operations/survivors.hpp"
#include "operations/worker.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"

using namespace usher;

namespace {
constexpr long capacity = 4096; // 16 MB; more rolled back refusals than this within usher.flush_interval are an attack
constexpr std::size_t max_row = 4000;

struct Key {
    std::uint64_t random; // no order is kept: rows carry their own time
};

struct Waiting {
    Key key;
    Oid database;
    std::uint32_t size;
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

void enqueue(const Candidate &candidate) noexcept {
    Key key{};
    const bool added = pg_strong_random(&key, sizeof key) && queue.locked([&](auto &map) {
        Waiting *const waiting = map.find_or_add(key);
        if (waiting == nullptr) return false;
        waiting->database = MyDatabaseId;
        waiting->size = static_cast<std::uint32_t>(candidate.row.size());
        std::memcpy(waiting->row, candidate.row.data(), candidate.row.size());
        std::memcpy(waiting->table, candidate.table.data(), candidate.table.size()); // the rest is zero
        return true;
    });
    if (!added) count_lost();
}

constinit pg::OnAbort<Candidate, enqueue> candidates;

constinit pg::Statement write_again{"SELECT usher._write_survivor($1, $2)"};

// At most one batch a call, so that the transaction stays short.
void write_batch() {
    std::vector<Waiting> batch;
    constexpr std::size_t batch_size = 256;
    batch.reserve(batch_size);
    queue.locked([&](auto &map) {
        map.for_each([&](const Waiting &waiting) {
            if (waiting.database == MyDatabaseId) batch.push_back(waiting); // reserved: cannot throw
            return batch.size() < batch_size;
        });
    });
    for (const Waiting &waiting : batch)
        write_again.run({pg::text(waiting.table), pg::jsonb({waiting.row, waiting.size})});
    queue.locked([&](auto &map) {
        for (const Waiting &waiting : batch) map.remove(waiting.key);
    });
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly(write_batch), true);
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
