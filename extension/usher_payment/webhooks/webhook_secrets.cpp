#include "usher_payment/webhooks/webhook_secrets.hpp"

namespace usher::payment {

namespace {
constinit Statement find_secrets{R"(
    SELECT s.id, s.scheme, s.header_name, s.secret, s.tolerance_seconds, s.expires_at
    FROM @.payment_webhook_secrets AS s
    WHERE s.processor OPERATOR(pg_catalog.=) $1 AND s.is_active
    ORDER BY s.created_at DESC, s.id DESC LIMIT 16)",
                                 pg::Access::latest};

// Of one schema; good as long as nothing is announced about any relation, which a change of the secrets does. What is
// not stored is kept as well, as nothing: bounded, because strangers choose the names.
constexpr std::size_t most_processors = 64;
struct Cache {
    std::unordered_map<std::string, std::vector<KeptSecret>> secrets;
    std::uint64_t changes = 0, schema = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding

std::vector<KeptSecret> load(const Schema &schema, std::string_view processor) {
    const pg::AsOwner owner;
    const pg::Rows rows = find_secrets.run(schema, {pg::text(processor)});
    std::vector<KeptSecret> secrets;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        secrets.push_back({context_of(row.uuid(0)), parse_scheme(row.text(1)).value(),
                           row.optional_text(2).value_or(""), row.string(3), row.int4(4), row.optional_time(5)});
    }
    return secrets;
}
} // namespace

const std::vector<KeptSecret> &secrets_of(const Schema &schema, std::string_view processor) {
    if (cache == nullptr) cache = new Cache;
    const std::uint64_t changes = pg::call([] {
        AcceptInvalidationMessages();
        return pg::relation_changes();
    });
    if (cache->changes != changes || cache->schema != schema.generation() || cache->secrets.size() >= most_processors)
        cache->secrets.clear();
    cache->changes = changes; // first: what is announced while it is read counts
    cache->schema = schema.generation();
    const std::string name(processor);
    if (const auto found = cache->secrets.find(name); found != cache->secrets.end()) return found->second;
    return cache->secrets[name] = load(schema, processor);
}

} // namespace usher::payment

/// _announce_webhook_secrets(): AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE on payment_webhook_secrets
USHER_FUNCTION(usher_payment_announce_webhook_secrets) { return usher::kit::announce_table(fcinfo); }
