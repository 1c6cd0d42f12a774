#include "identity/shared_networks.hpp"
#include "identity/guesses.hpp"
#include "operations/worker.hpp"
#include "pg/shared.hpp"
#include "pg/value.hpp"
#include "pg/xact.hpp"

namespace usher::identity::shared_networks {

namespace {
constexpr long capacity = 16384; // networks with a failure in a transaction that is open or was rolled back

struct Key {
    std::uint32_t database;
    std::array<char, 48> network; // text of a cidr, padded with zeros
};

using Hash = std::array<char, 32>;

struct Entry {
    Key key;
    std::int32_t open;        // failures of transactions that have not ended
    std::int32_t rolled_back; // failures that no table shows
    Hash last_name;           // SHA-256 of the name that failed last
    Instant last_failure;
};

pg::SharedMap<Key, Entry> map{"usher network failures", capacity};

Key key_of(const std::string &network) {
    Key key{MyDatabaseId, {}};
    std::copy_n(network.data(), std::min(network.size(), key.network.size() - 1), key.network.data());
    return key;
}

struct Pending {
    Key key;
    std::int32_t count;
};

void settle(const Pending &pending, bool committed) noexcept {
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(pending.key);
        if (entry == nullptr) return;
        entry->open -= pending.count;
        if (!committed) entry->rolled_back += pending.count;
        if (entry->open == 0 && entry->rolled_back == 0) locked.remove(pending.key);
    });
}

constinit pg::OnEnd<Pending, settle> pending_failures;

std::int32_t own_failures(const Key &key) {
    std::int32_t count = 0;
    pending_failures.for_each([&](const Pending &pending) {
        if (pending.key.database == key.database && pending.key.network == key.network) count += pending.count;
    });
    return count;
}

void flush() {
    constexpr std::size_t batch_size = 64;
    struct Due {
        Key key;
        std::int32_t count;
        Hash last_name;
    };
    std::vector<Due> batch;
    batch.reserve(batch_size);
    map.locked([&](auto &locked) {
        locked.for_each([&](Entry &entry) {
            if (entry.key.database == MyDatabaseId && entry.rolled_back > 0) {
                batch.push_back({entry.key, entry.rolled_back, entry.last_name}); // reserved: cannot throw
                entry.open += entry.rolled_back;
                entry.rolled_back = 0;
            }
            return batch.size() < batch_size;
        });
    });
    for (const Due &due : batch) pending_failures.add({due.key, due.count});
    for (const Due &due : batch)
        count_network_failures(due.key.network.data(), due.count,
                               std::string(due.last_name.data(), due.last_name.size()));
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly(flush), true);
} // namespace

shared_guesses::Unseen look(const std::string &network) {
    if (!pg::is_preloaded()) return {};
    const Key key = key_of(network);
    const std::int32_t own = own_failures(key);
    return map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        if (entry == nullptr) return shared_guesses::Unseen{};
        return shared_guesses::Unseen{0, std::max(entry->open - own, 0) + entry->rolled_back, entry->last_failure};
    });
}

bool fail(const std::string &network, const std::string &name_hash) {
    if (!pg::is_preloaded()) return true;
    const Key key = key_of(network);
    const Instant now = pg::clock_time();
    Hash name{};
    std::copy_n(name_hash.data(), std::min(name_hash.size(), name.size()), name.data());
    const bool is_repeated = map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        return entry != nullptr && entry->last_name == name;
    });
    if (is_repeated) return false;
    pending_failures.add({key, 1}); // before it counts: this may fail
    const bool counted = map.locked([&](auto &locked) {
        Entry *const entry = locked.find_or_add(key);
        if (entry == nullptr) return false;
        ++entry->open;
        entry->last_name = name;
        entry->last_failure = now;
        return true;
    });
    if (!counted) pending_failures.add({key, -1}); // no room: nothing is to be settled, the table alone counts
    return true;
}

void forget(const std::string &network) {
    if (!pg::is_preloaded()) return;
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find(key_of(network));
        if (entry == nullptr) return;
        entry->rolled_back = 0;
        if (entry->open == 0) locked.remove(entry->key);
    });
}

} // namespace usher::identity::shared_networks
