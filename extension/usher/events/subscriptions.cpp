#include "usher/events/subscriptions.hpp"
#include "common/error_codes.hpp"
#include "common/json_object.hpp"
#include "pg/cache.hpp"
#include "pg/procedure.hpp"
#include <map>

namespace usher::events {

namespace {
constinit pg::Invalidation changes{"events_inval"};

// By the names in the catalog: to_regprocedure() would fail where the owner may not use the handler's schema.
constinit pg::Statement load{"SELECT s.event, s.consumer, s.mode OPERATOR(pg_catalog.=) 'sync', p.oid,"
                             " s.extension IS NOT NULL"
                             " FROM usher.subscriptions s"
                             " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) s.handler_schema"
                             " LEFT JOIN pg_catalog.pg_proc p ON p.pronamespace OPERATOR(pg_catalog.=) n.oid AND "
                             "p.proname OPERATOR(pg_catalog.=) s.handler_name"
                             "      AND p.proargtypes OPERATOR(pg_catalog.=) '25 3802'::pg_catalog.oidvector AND "
                             "p.prokind OPERATOR(pg_catalog.=) 'f'" // text, jsonb
                             " WHERE s.is_active ORDER BY s.id",
                             pg::Access::latest};

// The owner of an extension is looked up here: when it changes, so do the owners of its functions, which is noticed.
constinit pg::Statement load_publishers{R"(
    SELECT v.event, v.registrant::pg_catalog.text, e.extowner, x.schema_name::pg_catalog.text
    FROM usher.extension_events v
        JOIN usher.extensions x ON x.name OPERATOR(pg_catalog.=) v.registrant
        LEFT JOIN pg_catalog.pg_extension e
            ON e.extname OPERATOR(pg_catalog.=) v.registrant AND x.extension IS NOT NULL)",
                                        pg::Access::latest};

struct Publisher {
    std::string name;
    Oid owner;          // of the extension; InvalidOid for an application
    std::string schema; // of the application
};

struct Cache {
    Subscriptions list;
    std::map<std::string, Publisher, std::less<>> publishers;
    std::uint64_t loaded_at = 0;
    std::uint64_t procedures = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding
} // namespace

bool Subscription::matches(std::string_view event) const {
    if (pattern == event || pattern == "*") return true;
    return pattern.ends_with(".*") && event.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

namespace {
const Cache &current() {
    const std::uint64_t now = changes.generation();
    const std::uint64_t procedures = pg::procedures_generation();
    if (cache != nullptr && cache->loaded_at == now && cache->procedures == procedures) return *cache;

    Subscriptions list;
    std::map<std::string, Publisher, std::less<>> publishers;
    {
        const pg::AsOwner owner;
        const pg::Rows rows = load.run();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const pg::Row row = rows[i];
            list.push_back({row.string(0), row.string(1), row.boolean(2), row.is_null(3) ? InvalidOid : row.oid(3),
                            row.boolean(4)});
        }
        const pg::Rows declared = load_publishers.run();
        for (std::size_t i = 0; i < declared.size(); ++i) {
            const pg::Row row = declared[i];
            publishers[row.string(0)] = {row.string(1), row.is_null(2) ? InvalidOid : row.oid(2),
                                         row.optional_text(3).value_or("")};
        }
    }
    if (cache == nullptr) cache = new Cache;
    cache->list = std::move(list);
    cache->publishers = std::move(publishers);
    cache->loaded_at = pg::Invalidation::may_keep() ? now : 0;
    cache->procedures = procedures;
    return *cache;
}

/// Plain frame. InvalidOid when the schema is gone: then nobody but a superuser publishes.
Oid owner_of_schema(const char *name) {
    const HeapTuple tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum(name));
    if (!HeapTupleIsValid(tuple)) return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspowner;
    ReleaseSysCache(tuple);
    return owner;
}
} // namespace

const Subscriptions &subscriptions() { return current().list; }

std::optional<std::string> publisher(std::string_view event, Oid role) {
    const auto &publishers = current().publishers;
    const auto found = publishers.find(event);
    if (found == publishers.end()) return std::nullopt;
    const Publisher &declared = found->second;
    const Oid owner = OidIsValid(declared.owner) ? declared.owner
                                                 : pg::call([&] { return owner_of_schema(declared.schema.c_str()); });
    if (!pg::has_rights_of(role, owner))
        throw Error(errc::not_permitted, "event \"" + found->first + "\" belongs to \"" + declared.name + "\"",
                    json::Object().add("event", event).add("publisher", declared.name).text(),
                    "Only functions of its publisher publish it. Choose a name of your own.");
    return declared.name;
}

} // namespace usher::events
