#include "identity/shared_networks.hpp"
#include "identity/guesses.hpp"
#include "identity/unsettled_failures.hpp"
#include "operations/worker.hpp"
#include "pg/value.hpp"

namespace usher::identity::shared_networks {

namespace {
constexpr long capacity = 16384; // networks with a failure in a transaction that is open or was rolled back

struct Key {
    std::uint32_t database;
    std::array<char, 48> network; // text of a cidr, padded with zeros
    bool operator==(const Key &) const = default;
};

using Hash = std::array<char, 32>;

struct Entry {
    Key key;
    std::int32_t open;        // failures of transactions that have not ended
    std::int32_t rolled_back; // failures that no table shows
    Hash last_name;           // SHA-256 of the name that failed last
    Instant last_failure;

    [[nodiscard]] bool is_idle() const { return open == 0 && rolled_back == 0; }
};

pg::SharedMap<Key, Entry> map{"usher network failures", capacity};
using Failures = UnsettledFailures<Key, Entry, map>;

Key key_of(const std::string &network) {
    Key key{MyDatabaseId, {}};
    std::copy_n(network.data(), std::min(network.size(), key.network.size() - 1), key.network.data());
    return key;
}

void flush() {
    for (const Entry &entry : Failures::take_rolled_back())
        count_network_failures(entry.key.network.data(), entry.rolled_back,
                               std::string(entry.last_name.data(), entry.last_name.size()));
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly(flush), true);
} // namespace

shared_guesses::Unseen look(const std::string &network) {
    if (!pg::is_preloaded()) return {};
    const Key key = key_of(network);
    const std::int32_t own = Failures::own(key);
    return map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        if (entry == nullptr) return shared_guesses::Unseen{};
        return shared_guesses::Unseen{0, Failures::of_others(*entry, own), entry->last_failure};
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
    Failures::add(key, 1);
    const bool counted = map.locked([&](auto &locked) {
        Entry *const entry = locked.find_or_add(key);
        if (entry == nullptr) return false;
        ++entry->open;
        entry->last_name = name;
        entry->last_failure = now;
        return true;
    });
    if (!counted) Failures::add(key, -1); // no room: nothing is to be settled, the table alone counts
    return true;
}

void forget(const std::string &network) {
    if (pg::is_preloaded()) Failures::forget_rolled_back(key_of(network));
}

} // namespace usher::identity::shared_networks
