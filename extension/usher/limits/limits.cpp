#include "usher/limits/limits.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/access/access.hpp"
#include "usher/limits/records.hpp"
#include "usher/limits/shared_counts.hpp"
#include <limits>

namespace usher::limits {

namespace {
struct HashedKey {
    Sha256 digest;
    std::string hash; // the same in hexadecimal, as the table has it
};

HashedKey hash_of(std::string_view policy, std::string_view key) {
    std::string bytes(policy);
    bytes += '\0'; // no policy name contains one
    bytes += key;
    const Sha256 digest = sha256(bytes);
    return {digest, hex_encode({reinterpret_cast<const char *>(digest.data()), digest.size()})};
}

std::int64_t seconds_up(std::int64_t microseconds) { return (microseconds + 999'999) / 1'000'000; }
} // namespace

Outcome hit(std::string_view policy_name, std::string_view key, std::int64_t cost,
            std::optional<std::string_view> tier) {
    const NamedPolicy policy = find_policy(policy_name); // a copy: the cache may change below
    const ratelimit::Policy rule = policy.tiers.empty() ? policy.rule : policy.rule_for(tier ? *tier : current_tier());
    if (cost < 1 || cost > rule.max_hits)
        throw Error(errc::invalid_argument, "cost must be 1 to " + std::to_string(rule.max_hits));

    const HashedKey hashed = hash_of(policy_name, key);
    const std::optional<ratelimit::Decision> shared =
        shared_counts::hit(hashed.digest, hashed.hash, policy, rule, cost);
    const ratelimit::Decision decision = shared ? *shared : records::hit(hashed.hash, policy, rule, cost);

    Outcome outcome;
    outcome.allowed = decision.allowed;
    outcome.remaining = decision.remaining;
    outcome.retry_after_s = decision.allowed ? 0 : std::max<std::int64_t>(1, seconds_up(decision.retry_after_us));
    outcome.reset_at = decision.reset_at;
    outcome.max_hits = rule.max_hits;
    outcome.period_s = std::max<std::int64_t>(1, seconds_up(rule.period_us));
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

/// usher.hit_rate_limit(policy, key, cost, tier)
USHER_FUNCTION(usher_limits_hit) {
    const pg::Args args(fcinfo);
    const limits::Outcome outcome = limits::hit(args.text(0), args.text(1), args.int4(2), args.optional_text(3));
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
    const limits::HashedKey hashed = limits::hash_of(policy, key);
    const bool counted = limits::shared_counts::reset(hashed.digest);
    const bool stored = limits::records::remove(hashed.hash);
    return BoolGetDatum(counted || stored);
}

/// usher.rate_limit_key(address)
USHER_FUNCTION(usher_limits_address_key) {
    const pg::Args args(fcinfo);
    return pg::result(pg::text(limits::address_key(args.output(0))));
}

/// usher._forget_rate_limit(policy)
USHER_FUNCTION(usher_limits_forget) {
    limits::shared_counts::forget(pg::Args(fcinfo).text(0));
    return pg::null_result(fcinfo);
}

/// usher._flush_rate_limits()
USHER_FUNCTION(usher_limits_flush) { return pg::result(pg::int8(limits::shared_counts::flush())); }
