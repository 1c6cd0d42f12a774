#include "usher/limits/records.hpp"
#include "common/error.hpp"
#include "pg/spi.hpp"

namespace usher::limits::records {

namespace {
#define STATE "r.window_start, r.request_count, r.previous_count, r.blocked_until, r.algorithm, r.refused_count"
constinit pg::Statement find_record{
    "SELECT " STATE " FROM usher.rate_limit_records r WHERE r.key_hash OPERATOR(pg_catalog.=) $1", pg::Access::latest};
// One row lock orders the hits of a key. The row is made first if need be, so that there is one to lock.
constinit pg::Statement lock_record{
    "SELECT " STATE " FROM usher.rate_limit_records r WHERE r.key_hash OPERATOR(pg_catalog.=) $1 FOR UPDATE"};
#undef STATE
constinit pg::Statement make_record{R"(
    INSERT INTO usher.rate_limit_records (key_hash, policy, algorithm, window_start, window_end, request_count,
                                          limit_value)
    VALUES ($1, $2, $3, $4, $4, 0, $5)
    ON CONFLICT (key_hash) DO NOTHING)"};
constinit pg::Statement write_record{R"(
    INSERT INTO usher.rate_limit_records AS r (key_hash, policy, algorithm, window_start, window_end, request_count,
                                               previous_count, limit_value, refused_count, blocked_until,
                                               updated_at, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
    ON CONFLICT (key_hash) DO UPDATE SET algorithm = EXCLUDED.algorithm,
        window_start = EXCLUDED.window_start, window_end = EXCLUDED.window_end, request_count = EXCLUDED.request_count,
        previous_count = EXCLUDED.previous_count, limit_value = EXCLUDED.limit_value,
        refused_count = EXCLUDED.refused_count, blocked_until = EXCLUDED.blocked_until,
        updated_at = EXCLUDED.updated_at)"};
constinit pg::Statement delete_record{"DELETE FROM usher.rate_limit_records WHERE key_hash OPERATOR(pg_catalog.=) $1"};

Record read(const pg::Row &row, const NamedPolicy &policy) {
    Record record;
    if (row.text(4) == policy.algorithm) { // else the policy has changed, and its counts mean something else
        record.state.window_start = row.time(0);
        record.state.count = row.int8(1);
        record.state.previous_count = row.int8(2);
    }
    if (!row.is_null(3)) record.state.blocked_until = row.time(3);
    record.refused = row.int8(5);
    return record;
}
} // namespace

Record find(std::string_view hash, const NamedPolicy &policy) {
    const pg::AsOwner owner;
    const pg::Rows rows = find_record.run({pg::text(hash)});
    return rows.empty() ? Record{} : read(rows.front(), policy);
}

ratelimit::Decision hit(std::string_view hash, const NamedPolicy &policy, const ratelimit::Policy &rule,
                        std::int64_t cost) {
    const pg::AsOwner owner;
    pg::Rows rows = lock_record.run({pg::text(hash)});
    if (rows.empty()) {
        make_record.run({pg::text(hash), pg::text(policy.name), pg::text(policy.algorithm),
                         pg::timestamptz(pg::clock_time()), pg::int4(static_cast<std::int32_t>(rule.max_hits))});
        rows = lock_record.run({pg::text(hash)});
        if (rows.empty())
            throw Error("40001",
                        "a rate limit record was removed at the same time"); // by maintenance; the caller may retry
    }
    Record record = read(rows.front(), policy);
    const Instant now = pg::clock_time(); // after the wait for the lock
    const ratelimit::Decision decision = ratelimit::hit(rule, record.state, now, cost);
    if (!decision.allowed) ++record.refused;
    write(hash, policy.name, policy.algorithm, rule.max_hits, record, decision.reset_at, now);
    return decision;
}

void write(std::string_view hash, std::string_view policy, std::string_view algorithm, std::int64_t max_hits,
           const Record &record, Instant reset_at, Instant now) {
    const ratelimit::State &state = record.state;
    const std::optional<Instant> blocked_until =
        state.blocked_until > now ? std::optional(state.blocked_until) : std::nullopt;
    const pg::AsOwner owner;
    write_record.run({pg::text(hash), pg::text(policy), pg::text(algorithm), pg::timestamptz(state.window_start),
                      pg::timestamptz(reset_at), pg::int8(state.count), pg::int8(state.previous_count),
                      pg::int4(static_cast<std::int32_t>(max_hits)), pg::int8(record.refused),
                      pg::timestamptz_or_null(blocked_until), pg::timestamptz(now)});
}

bool remove(std::string_view hash) {
    const pg::AsOwner owner;
    return delete_record.run({pg::text(hash)}).processed() > 0;
}

} // namespace usher::limits::records
