// usher.openapi(): the document that usher._make_openapi() makes, kept until something that it shows has changed.
#include "pg/cache.hpp"
#include "pg/procedure.hpp"
#include "pg/result.hpp"
#include "usher/http/routes.hpp"
#include "usher/operations/settings.hpp"

namespace usher::http {

namespace {
constinit pg::Statement make{"SELECT usher._make_openapi()", pg::Access::latest};

// PostgreSQL sends no invalidation message when a comment changes, so comments are read each time: a small part of the
// work of making the document.
constinit pg::Statement comments{
    "SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(pg_catalog.hashtextextended(d.description,"
    "  d.objoid::pg_catalog.int8)))"
    " FROM pg_catalog.pg_description d"
    " WHERE d.objoid OPERATOR(pg_catalog.>=) '16384' AND d.objsubid OPERATOR(pg_catalog.=) 0" // not those of initdb
    " AND (d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass"
    "  OR d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass)",
    pg::Access::latest};

struct Document {
    std::uint64_t routes, procedures, row_types;
    int max_page_rows;
    std::string comments;
    varlena *value; // a jsonb in TopMemoryContext
};
Document *kept = nullptr; // never deleted: a backend ends without unwinding
} // namespace

/// The jsonb, valid until the next call.
varlena *openapi() {
    const std::uint64_t row_types = pg::row_types_generation(); // before the rest: its callbacks must be there
    const std::uint64_t routes_now = routes_generation();
    const std::uint64_t procedures = pg::procedures_generation();
    const pg::AsOwner owner;
    std::string comments_now = comments.run().front().string(0);
    if (kept != nullptr && kept->routes == routes_now && kept->procedures == procedures &&
        kept->row_types == row_types && kept->max_page_rows == guc::max_page_rows && kept->comments == comments_now)
        return kept->value;
    const pg::Rows made = make.run();
    const Datum document = made.front().datum(0, JSONBOID);
    varlena *const copy = pg::call([&] {
        const MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);
        auto *const value = reinterpret_cast<varlena *>(PG_DETOAST_DATUM_COPY(document));
        MemoryContextSwitchTo(outer);
        return value;
    });
    if (kept == nullptr)
        kept = new Document{};
    else
        pfree(kept->value);
    *kept = {pg::Invalidation::may_keep() ? routes_now : 0,
             procedures,
             row_types,
             guc::max_page_rows,
             std::move(comments_now),
             copy};
    return copy;
}

} // namespace usher::http

/// usher.openapi()
USHER_FUNCTION(usher_http_openapi) {
    const varlena *const document = usher::http::openapi();
    return usher::pg::call([&] { return PointerGetDatum(PG_DETOAST_DATUM_COPY(PointerGetDatum(document))); });
}
