// What names of accounts must hold for every input.
#pragma once
#include "targets.hpp"
#include "usher/identity/names.hpp"

namespace usher::fuzz {

inline void names_target(std::string_view input) {
    const std::optional<std::string> stored = normalize_name(input), key = name_key(input);
    must(stored.has_value() == key.has_value());
    if (!stored) return;
    must(is_valid_utf8(*stored) && stored->size() <= 254 && is_valid_utf8(*key));
    must(is_meant_as_email(*stored) == (stored->find('@') != std::string::npos));
    // What is stored is what a second look would store, and the same name.
    must(normalize_name(*stored) == stored && name_key(*stored) == key && name_key(*key) == key);
}

} // namespace usher::fuzz
