#include "usher/http/routes.hpp"
#include "pg/cache.hpp"
#include "pg/procedure.hpp"

namespace usher::http {

namespace {
constinit pg::Invalidation changes{"routes_inval"};

// Routes of a feature that was dropped have no function; they do not exist until it is back. By the names in the
// catalog: to_regprocedure() would fail where the owner of the extension may not use the function's schema.
constinit pg::Statement load{R"(
    SELECT r.method, r.path_template, p.oid, r.access, r.permission, r.rate_limit, r.success_status,
           r.read_only, r.cache_control, r.idempotency, r.requires_if_match, r.style OPERATOR(pg_catalog.=) 'oauth',
           '@'::pg_catalog.text OPERATOR(pg_catalog.||) pg_catalog.date_part(
               'epoch', r.deprecated_at)::pg_catalog.int8::pg_catalog.text,
           pg_catalog.to_char(pg_catalog.timezone('UTC', r.sunset_at), 'Dy, DD Mon YYYY HH24:MI:SS "GMT"'),
           r.timeout_ms, r.style OPERATOR(pg_catalog.=) 'raw'
    FROM usher.routes r JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) r.function_schema
        JOIN pg_catalog.pg_proc p ON p.pronamespace OPERATOR(pg_catalog.=) n.oid
            AND p.proname OPERATOR(pg_catalog.=) r.function_name
    WHERE r.is_active AND usher._argument_types(p.proargtypes) OPERATOR(pg_catalog.=) r.function_arguments
    ORDER BY r.shape, r.method)",
                             pg::Access::latest};

struct Cache {
    std::shared_ptr<Routes> routes;
    std::uint64_t loaded_at = 0;
    std::uint64_t procedures = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding

AccessRule access_rule(std::string_view name) {
    return name == "public"       ? AccessRule::open
           : name == "permission" ? AccessRule::permission
                                  : AccessRule::authenticated;
}
} // namespace

std::shared_ptr<const Function> Route::function() {
    const std::uint64_t procedures = pg::procedures_generation(), row_types = pg::row_types_generation();
    if (!function_ || procedures != procedures_ || row_types != row_types_) {
        function_ = std::make_shared<const Function>(describe(function_oid));
        procedures_ = procedures;
        row_types_ = row_types;
    }
    return function_;
}

std::uint64_t routes_generation() { return changes.generation(); }

std::shared_ptr<Routes> routes() {
    const std::uint64_t now = changes.generation();
    const std::uint64_t procedures = pg::procedures_generation();
    if (cache != nullptr && cache->loaded_at == now && cache->procedures == procedures) return cache->routes;

    auto fresh = std::make_shared<Routes>();
    {
        const pg::AsOwner owner;
        const pg::Rows rows = load.run();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const pg::Row row = rows[i];
            std::string error;
            auto path = route::parse_template(row.text(1), error);
            if (!path) continue; // add_route() lets none in
            auto route = std::make_unique<Route>();
            route->method = row.string(0);
            route->path_template = row.string(1);
            route->path = std::move(*path);
            route->function_oid = row.oid(2);
            route->access = access_rule(row.text(3));
            route->permission = row.optional_text(4).value_or("");
            route->rate_limit = row.optional_text(5).value_or("");
            route->success_status = row.int4(6);
            route->read_only = row.boolean(7);
            route->cache_control = row.optional_text(8).value_or("");
            const std::string_view idempotency = row.text(9);
            route->idempotency = idempotency == "required"   ? Idempotency::required
                                 : idempotency == "optional" ? Idempotency::optional
                                                             : Idempotency::none;
            route->requires_if_match = row.boolean(10);
            route->is_oauth = row.boolean(11);
            route->is_raw = row.boolean(15);
            route->deprecation = row.optional_text(12).value_or("");
            route->sunset = row.optional_text(13).value_or("");
            route->timeout_ms = row.is_null(14) ? 0 : row.int4(14);
            fresh->table.add(route->method, route->path, fresh->list.size());
            fresh->list.push_back(std::move(route));
        }
    }
    if (cache == nullptr) cache = new Cache;
    cache->routes = fresh;
    cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    cache->procedures = procedures;
    return fresh;
}

} // namespace usher::http
