// Which names the counted failures of a network were made with, in order: eight bytes of the SHA-256 of each, so that a
// success takes back what its own name has failed, and nothing else.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace usher::failed_names {

inline constexpr std::size_t size = 8;  // bytes of a name
inline constexpr std::size_t most = 64; // names that are kept: older failures are nobody's to take back

/// What is kept of a name's hash. A failure of which no name is known has the empty one.
inline std::string key_of(std::string_view name_hash) {
    std::string key(name_hash.substr(0, size));
    key.resize(size, '\0');
    return key;
}

/// Is this the name that failed last? Repeated failures with one name count for its account only.
inline bool is_last(std::string_view names, std::string_view key) { return !names.empty() && names.ends_with(key); }

/// One more failure, by this name.
inline std::string with(std::string_view names, std::string_view key) {
    std::string all(names);
    all += key;
    if (all.size() > most * size) all.erase(0, all.size() - most * size);
    return all;
}

/// The names without these, and how often they were among them.
struct Without {
    std::string names;
    int removed = 0;
};
inline Without without(std::string_view names, const std::vector<std::string> &keys) {
    Without rest;
    for (; names.size() >= size; names.remove_prefix(size)) {
        if (std::find(keys.begin(), keys.end(), names.substr(0, size)) != keys.end())
            ++rest.removed;
        else
            rest.names += names.substr(0, size);
    }
    return rest;
}

} // namespace usher::failed_names
