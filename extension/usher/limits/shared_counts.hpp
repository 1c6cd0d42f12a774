// Counts in shared memory, with the library preloaded: a hit stays when its transaction rolls back, no hit waits for
// another transaction, and every hit is counted in one order. The background worker (or usher.run_maintenance()) writes
// the counts to usher.rate_limit_records, from where they come back after a restart.
#pragma once
#include "common/digest.hpp"
#include "usher/limits/records.hpp"

namespace usher::limits::shared_counts {

/// Decides in shared memory; nothing when it has no room, or there is none.
std::optional<ratelimit::Decision> hit(const Sha256 &key, std::string_view hash, const NamedPolicy &policy,
                                       const ratelimit::Policy &rule, std::int64_t cost);

/// Forgets a key at once, whatever becomes of the transaction. False when nothing was counted for it.
bool reset(const Sha256 &key);
/// Forgets all keys of a policy.
void forget(std::string_view policy);

/// Writes what has changed since the last time; returns how many keys.
std::int64_t flush();

} // namespace usher::limits::shared_counts
