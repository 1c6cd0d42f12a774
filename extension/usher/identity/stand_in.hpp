// Whose hash is evaluated for a name that has none. Accounts that were imported have hashes of other costs than ours,
// so one dummy for all would tell by the time which names nobody has: each such name gets the hash of some account
// instead, always the same one, so that unknown names are as slow and as fast as known ones, in the same proportions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace usher::identity {

/// Jump consistent hash (Lamping and Veach, 2014): a bucket of so many; when their number grows by one, only one key in
/// so many moves.
constexpr std::int64_t bucket_of(std::uint64_t key, std::int64_t buckets) noexcept {
    std::int64_t bucket = -1, next = 0;
    while (next < buckets) {
        bucket = next;
        key = key * 2862933555777941757ULL + 1;
        next = static_cast<std::int64_t>(static_cast<double>(bucket + 1) *
                                         (static_cast<double>(1LL << 31) / static_cast<double>((key >> 33) + 1)));
    }
    return bucket;
}

/// The hash to evaluate for a name without one; empty when there are no accounts.
std::string stand_in_hash(std::string_view name);

} // namespace usher::identity
