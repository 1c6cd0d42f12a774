#include "limits/limits.hpp"
#include "access/access.hpp"
#include "core/digest.hpp"
#include "core/encoding.hpp"
#include "core/ratelimit.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include <limits>

namespace usher::limits {

namespace {
constinit pg::Invalidation changes{"rate_limits_inval"};
constinit pg::Statement load{
    "SELECT p.policy, p.algorithm, p.max_hits, p.period, p.block_for FROM usher.rate_limit_policies p",
    pg::Access::latest};

// One row lock orders the hits of a key. The row is made first if need be, so that there is one to lock.
constinit pg::Statement lock_record{
    "SELECT r.window_start, r.request_count, r.previous_count, r.blocked_until, r.algorithm, r.limit_value"
    " FROM usher.rate_limit_records r WHERE r.key_hash = $1 FOR UPDATE"};
constinit pg::Statement make_record{"INSERT INTO usher.rate_limit_records (key_hash, policy, algorithm, window_start, "
                                    "window_end, request_count, limit_value)"
                                    " VALUES ($1, $2, $3, $4, $4, 0, $5) ON CONFLICT (key_hash) DO NOTHING"};
constinit pg::Statement write_record{
    "UPDATE usher.rate_limit_records SET algorithm = $2, window_start = $3, window_end = $4, request_count = $5, "
    "previous_count = $6,"
    " limit_value = $7, blocked_until = $8, refused_count = refused_count + $9, updated_at = $10 WHERE key_hash = $1"};
constinit pg::Statement delete_record{"DELETE FROM usher.rate_limit_records WHERE key_hash = $1"};

struct NamedPolicy {
    std::string algorithm;
    ratelimit::Policy rule;
};
struct Cache {
    std::unordered_map<std::string, NamedPolicy> policies;
    std::uint64_t loaded_at = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding

const NamedPolicy &find_policy(std::string_view name) {
    const std::uint64_t now = changes.generation();
    if (cache == nullptr || cache->loaded_at != now) {
        std::unordered_map<std::string, NamedPolicy> fresh;
        {
            const pg::AsOwner owner;
            const pg::Rows rows = load.run();
            for (std::size_t i = 0; i < rows.size(); ++i) {
                const pg::Row row = rows[i];
                NamedPolicy policy{row.string(1), {}};
                policy.rule.algorithm =
                    ratelimit::parse_algorithm(policy.algorithm).value_or(ratelimit::Algorithm::fixed_window);
                policy.rule.max_hits = row.int4(2);
                policy.rule.period_us = row.interval_us(3);
                policy.rule.block_for_us = row.is_null(4) ? 0 : row.interval_us(4);
                fresh.emplace(row.string(0), std::move(policy));
            }
        }
        if (cache == nullptr) cache = new Cache;
        cache->policies = std::move(fresh);
        cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    }
    const auto found = cache->policies.find(std::string(name));
    if (found == cache->policies.end())
        throw Error(errc::not_configured, "rate limit \"" + std::string(name.substr(0, 100)) + "\" is not defined", {},
                    "Define it with usher.define_rate_limit().");
    return found->second;
}

std::string hash_of(std::string_view policy, std::string_view key) {
    std::string bytes(policy);
    bytes += '\0'; // no policy name contains one
    bytes += key;
    return hex_encode(sha256_bytes(bytes));
}

std::int64_t seconds_up(std::int64_t microseconds) { return (microseconds + 999'999) / 1'000'000; }
} // namespace

Outcome hit(std::string_view policy_name, std::string_view key, std::int64_t cost) {
    const NamedPolicy policy = find_policy(policy_name); // a copy: the cache may change below
    if (cost < 1 || cost > policy.rule.max_hits)
        throw Error(errc::invalid_argument, "cost must be 1 to " + std::to_string(policy.rule.max_hits));
    const std::string hash = hash_of(policy_name, key);

    const pg::AsOwner owner;
    pg::Rows rows = lock_record.run({pg::text(hash)});
    if (rows.empty()) {
        make_record.run({pg::text(hash), pg::text(policy_name), pg::text(policy.algorithm),
                         pg::timestamptz(pg::clock_time()), pg::int4(static_cast<std::int32_t>(policy.rule.max_hits))});
        rows = lock_record.run({pg::text(hash)});
        if (rows.empty())
            throw Error("40001",
                        "a rate limit record was removed at the same time"); // by maintenance; the caller may retry
    }
    const pg::Row record = rows.front();
    ratelimit::State state;
    if (record.text(4) == policy.algorithm) { // else the policy has changed, and its counts mean something else
        state.window_start = record.time(0);
        state.count = record.int8(1);
        state.previous_count = record.int8(2);
    }
    if (!record.is_null(3)) state.blocked_until = record.time(3);

    const Instant now = pg::clock_time(); // after the wait for the lock
    const ratelimit::Decision decision = ratelimit::hit(policy.rule, state, now, cost);
    const std::optional<Instant> blocked_until =
        state.blocked_until > now ? std::optional(state.blocked_until) : std::nullopt;
    write_record.run({pg::text(hash), pg::text(policy.algorithm), pg::timestamptz(state.window_start),
                      pg::timestamptz(decision.reset_at), pg::int8(state.count), pg::int8(state.previous_count),
                      pg::int4(static_cast<std::int32_t>(policy.rule.max_hits)), pg::timestamptz_or_null(blocked_until),
                      pg::int8(decision.allowed ? 0 : 1), pg::timestamptz(now)});

    Outcome outcome;
    outcome.allowed = decision.allowed;
    outcome.remaining = decision.remaining;
    outcome.retry_after_s = decision.allowed ? 0 : std::max<std::int64_t>(1, seconds_up(decision.retry_after_us));
    outcome.reset_at = decision.reset_at;
    outcome.max_hits = policy.rule.max_hits;
    outcome.period_s = std::max<std::int64_t>(1, seconds_up(policy.rule.period_us));
    return outcome;
}

std::string address_key(std::string_view address) {
    if (address.empty()) return "unknown";
    const std::string written(address);
    const char *const key = pg::call([&]() -> const char * {
        const Datum value = DirectFunctionCall1(inet_in, CStringGetDatum(written.c_str()));
        const inet *const parsed = DatumGetInetPP(value);
        if (ip_family(parsed) == PGSQL_AF_INET) return TextDatumGetCString(DirectFunctionCall1(network_host, value));
        const Datum network =
            DirectFunctionCall1(network_network, DirectFunctionCall2(inet_set_masklen, value, Int32GetDatum(64)));
        return TextDatumGetCString(DirectFunctionCall1(network_show, network));
    });
    return key;
}

} // namespace usher::limits

using namespace usher;

/// usher.hit_rate_limit(policy, key, cost)
USHER_FUNCTION(usher_limits_hit) {
    const pg::Args args(fcinfo);
    const limits::Outcome outcome = limits::hit(args.text(0), args.text(1), args.int4(2));
    pg::RowBuilder row(fcinfo);
    row.set("allowed", pg::boolean(outcome.allowed))
        .set("remaining", pg::int4(static_cast<std::int32_t>(outcome.remaining)));
    if (!outcome.allowed)
        row.set("retry_after", pg::int4(static_cast<std::int32_t>(std::min<std::int64_t>(
                                   outcome.retry_after_s, std::numeric_limits<std::int32_t>::max()))));
    row.set("reset_at", pg::timestamptz(outcome.reset_at));
    return row.finish();
}

/// usher.reset_rate_limit(policy, key)
USHER_FUNCTION(usher_limits_reset) {
    const pg::Args args(fcinfo);
    const std::string_view policy = args.text(0), key = args.text(1);
    access::require("limit:manage");
    const std::string hash = limits::hash_of(policy, key);
    const pg::AsOwner owner;
    return BoolGetDatum(limits::delete_record.run({pg::text(hash)}).processed() > 0);
}

/// usher.rate_limit_key(address)
USHER_FUNCTION(usher_limits_address_key) {
    const pg::Args args(fcinfo);
    return pg::result(pg::text(limits::address_key(args.output(0))));
}
