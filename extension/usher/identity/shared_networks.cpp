#include "usher/identity/shared_networks.hpp"
#include "pg/value.hpp"
#include "usher/identity/failed_names.hpp"
#include "usher/identity/guesses.hpp"
#include "usher/identity/unsettled_failures.hpp"
#include "usher/operations/worker.hpp"

namespace usher::identity::shared_networks {

namespace {
constexpr long capacity = 16384; // networks with a failure in a transaction that is open or was rolled back

struct Key {
    std::uint32_t database;
    std::array<char, 48> network; // text of a cidr, padded with zeros
    bool operator==(const Key &) const = default;
};

using Name = std::array<char, failed_names::size>;

struct Entry {
    Key key;
    std::int32_t open;        // failures of transactions that have not ended
    std::int32_t rolled_back; // failures that no table shows
    Name last_name;           // that failed last
    Instant last_failure;
    Instant postponed_until; // the table was locked

    [[nodiscard]] bool is_idle() const { return open == 0 && rolled_back == 0; }
};

pg::SharedMap<Key, Entry> map{"usher network failures", capacity};
pg::SharedMap<PreparedKey<Key>, PreparedFailures<Key>> prepared{"usher prepared network failures", prepared_capacity};
using Failures = UnsettledFailures<Key, Entry, map, prepared>;

Key key_of(const std::string &network) {
    Key key{MyDatabaseId, {}};
    std::copy_n(network.data(), std::min(network.size(), key.network.size() - 1), key.network.data());
    return key;
}

Name name_of(std::string_view given) {
    Name name{};
    std::copy_n(given.data(), std::min(given.size(), name.size()), name.data());
    return name;
}

void flush() {
    Failures::flush([](const Entry &entry) {
        count_network_failures(entry.key.network.data(), entry.rolled_back,
                               {entry.last_name.data(), entry.last_name.size()});
    });
}

[[maybe_unused]] const bool enlisted = (operations::flush_regularly("flushing failures of networks", flush), true);
} // namespace

shared_guesses::Unseen look(const std::string &network) {
    if (!pg::is_preloaded()) return {};
    Failures::settle_prepared();
    const Key key = key_of(network);
    const std::int32_t own = Failures::own(key);
    return map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        if (entry == nullptr) return shared_guesses::Unseen{};
        return shared_guesses::Unseen{0, Failures::of_others(*entry, own), entry->last_failure};
    });
}

bool fail(const std::string &network, std::string_view given) {
    if (!pg::is_preloaded()) return true;
    const Key key = key_of(network);
    const Instant now = pg::clock_time();
    const Name name = name_of(given);
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

void forget(const std::string &network, const std::vector<std::string> &names) {
    if (!pg::is_preloaded()) return;
    Failures::settle_prepared();
    const Key key = key_of(network);
    const bool is_its_own = map.locked([&](auto &locked) {
        const Entry *const entry = locked.find(key);
        return entry != nullptr && entry->rolled_back == 1 &&
               std::any_of(names.begin(), names.end(),
                           [&](const std::string &name) { return entry->last_name == name_of(name); });
    });
    if (is_its_own) Failures::forget_rolled_back(key);
}

} // namespace usher::identity::shared_networks
