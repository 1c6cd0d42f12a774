// usher.rate_limit_records: what was counted, as rows.
#pragma once
#include "usher/limits/limit_policies.hpp"
#include "usher/limits/ratelimit.hpp"
#include <optional>

namespace usher::limits {

struct Record {
    ratelimit::State state;
    std::int64_t refused = 0;
};

namespace records {
/// What is committed about a key under this policy; all zero when there is nothing that still counts.
Record find(std::string_view hash, const NamedPolicy &policy);

/// Decides by the row of the key, which stays locked until the end of the transaction.
ratelimit::Decision hit(std::string_view hash, const NamedPolicy &policy, const ratelimit::Policy &rule,
                        std::int64_t cost);

/// Writes what shared memory has counted.
void write(std::string_view hash, std::string_view policy, std::string_view algorithm, std::int64_t max_hits,
           const Record &record, Instant reset_at, Instant now);
/// Whether there was a row.
bool remove(std::string_view hash);
} // namespace records

} // namespace usher::limits
