#include "events/subscriptions.hpp"
#include "pg/cache.hpp"
#include "pg/procedure.hpp"

namespace usher::events {

namespace {
constinit pg::Invalidation changes{"events_inval"};

// By the names in the catalog: to_regprocedure() would fail where the owner may not use the handler's schema.
constinit pg::Statement load{"SELECT s.event, s.consumer, s.mode OPERATOR(pg_catalog.=) 'sync', p.oid, p.proowner"
                             " FROM usher.subscriptions s"
                             " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) s.handler_schema"
                             " LEFT JOIN pg_catalog.pg_proc p ON p.pronamespace OPERATOR(pg_catalog.=) n.oid AND "
                             "p.proname OPERATOR(pg_catalog.=) s.handler_name"
                             "      AND p.proargtypes OPERATOR(pg_catalog.=) '25 3802'::pg_catalog.oidvector AND "
                             "p.prokind OPERATOR(pg_catalog.=) 'f'" // text, jsonb
                             " WHERE s.is_active ORDER BY s.id",
                             pg::Access::latest};

struct Cache {
    Subscriptions list;
    std::uint64_t loaded_at = 0;
    std::uint64_t procedures = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding
} // namespace

bool Subscription::matches(std::string_view event) const {
    if (pattern == event || pattern == "*") return true;
    return pattern.ends_with(".*") && event.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

const Subscriptions &subscriptions() {
    const std::uint64_t now = changes.generation();
    const std::uint64_t procedures = pg::procedures_generation();
    if (cache != nullptr && cache->loaded_at == now && cache->procedures == procedures) return cache->list;

    Subscriptions list;
    {
        const pg::AsOwner owner;
        const pg::Rows rows = load.run();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const pg::Row row = rows[i];
            const bool found = !row.is_null(3);
            list.push_back({row.string(0), row.string(1), row.boolean(2), found ? row.oid(3) : InvalidOid,
                            found ? row.oid(4) : InvalidOid});
        }
    }
    if (cache == nullptr) cache = new Cache;
    cache->list = std::move(list);
    cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    cache->procedures = procedures;
    return cache->list;
}

} // namespace usher::events
