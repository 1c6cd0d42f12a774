#include "usher/limits/limit_policies.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/utf8.hpp"
#include "pg/cache.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::limits {

namespace {
constinit pg::Invalidation changes{"rate_limits_inval"};
constinit pg::Statement load{R"(
    SELECT p.policy, p.algorithm, p.max_hits, p.period, p.block_for, p.tiers::pg_catalog.text FROM usher.rate_limit_policies p)",
                             pg::Access::latest};
constinit pg::Statement find_tier{
    "SELECT u.tier::pg_catalog.text FROM usher.users u WHERE u.id OPERATOR(pg_catalog.=) $1", pg::Access::latest};

struct Cache {
    std::unordered_map<std::string, NamedPolicy> policies;
    std::uint64_t loaded_at = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding

NamedPolicy read_policy(const pg::Row &row) {
    NamedPolicy policy{row.string(0), row.string(1), false, {}, {}};
    const auto algorithm = ratelimit::parse_algorithm(policy.algorithm);
    policy.has_algorithm = algorithm.has_value();
    policy.rule.algorithm = algorithm.value_or(ratelimit::Algorithm{});
    policy.rule.max_hits = row.int4(2);
    policy.rule.period_us = row.interval_us(3);
    policy.rule.block_for_us = row.is_null(4) ? 0 : row.interval_us(4);
    json::Document tiers;
    if (tiers.parse(row.text(5)))
        for (const json::Member tier : tiers.root().members())
            policy.tiers.emplace_back(tier.key(), tier.value.as_int64().value_or(policy.rule.max_hits));
    return policy;
}

struct KnownTier {
    Uuid user;
    std::string_view tier;
    Instant read; // once for each statement of the client
};
constinit pg::TransactionLocal<KnownTier> known_tier;
} // namespace

ratelimit::Policy NamedPolicy::rule_for(std::string_view tier) const {
    ratelimit::Policy result = rule;
    for (const auto &[of, max_hits] : tiers)
        if (of == tier) result.max_hits = max_hits;
    return result;
}

const NamedPolicy &find_policy(std::string_view name) {
    const std::uint64_t now = changes.generation();
    if (cache == nullptr || cache->loaded_at != now) {
        std::unordered_map<std::string, NamedPolicy> fresh;
        {
            const pg::AsOwner owner;
            const pg::Rows rows = load.run();
            for (std::size_t i = 0; i < rows.size(); ++i) fresh.emplace(rows[i].string(0), read_policy(rows[i]));
        }
        if (cache == nullptr) cache = new Cache;
        cache->policies = std::move(fresh);
        cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    }
    const auto found = cache->policies.find(std::string(name));
    if (found == cache->policies.end())
        throw Error(errc::not_configured, "rate limit \"" + std::string(clip(name, 100)) + "\" is not defined", {},
                    "Define it with usher.define_rate_limit().");
    if (!found->second.has_algorithm) // one bad row is no reason to refuse the other policies
        throw Error(errc::not_configured,
                    "rate limit \"" + found->first + "\" has an unknown algorithm \"" + found->second.algorithm + '"',
                    {}, "Define it anew with usher.define_rate_limit().");
    return found->second;
}

std::string_view current_tier() {
    const request::Identity *const who = request::current();
    if (who == nullptr) return {};
    if (const KnownTier *known = known_tier.get();
        known != nullptr && known->user == who->user_id && known->read == pg::statement_time())
        return known->tier;
    const Uuid user = who->user_id;
    const pg::AsOwner owner;
    const pg::Rows rows = find_tier.run({pg::uuid(user)});
    const std::string_view tier = rows.empty() ? std::string_view() : pg::keep_for_transaction(rows.front().text(0));
    known_tier.set({user, tier, pg::statement_time()});
    return tier;
}

} // namespace usher::limits
