// Small things that the tables and triggers of every extension ask for.
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/operations/restoring.hpp"

using namespace usher;

USHER_FUNCTION(usher_uuid_v7) { return pg::result(pg::uuid(pg::new_uuid())); }

/// uuid_or_null(value text)
USHER_FUNCTION(usher_uuid_or_null) {
    const std::optional<Uuid> id = parse_uuid(pg::Args(fcinfo).text(0));
    return id ? pg::result(pg::uuid(*id)) : pg::null_result(fcinfo);
}

USHER_FUNCTION(usher_is_restoring) { return BoolGetDatum(operations::is_restoring()); }

USHER_FUNCTION(usher_is_loading) { return BoolGetDatum(operations::is_loading()); }

USHER_FUNCTION(usher_installing_extension) {
    const char *const name =
        pg::call([] { return creating_extension ? get_extension_name(CurrentExtensionObject) : nullptr; });
    return name == nullptr ? pg::null_result(fcinfo) : pg::result(pg::text(name));
}

USHER_FUNCTION(usher_server_identifier) { return pg::result(pg::text(std::to_string(GetSystemIdentifier()))); }
