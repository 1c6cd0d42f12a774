// The list of error codes, seen from SQL, and other small helpers of SQL halves.
#include "core/error_codes.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"

using namespace usher;

USHER_FUNCTION(usher_error_codes) {
    pg::RowSet rows(fcinfo);
    for (const ErrorCode &code : error_codes())
        rows.add({pg::text(code.name), code.sqlstate.empty() ? pg::null(TEXTOID) : pg::text(code.sqlstate),
                  pg::int4(code.http_status), pg::text(code.description)});
    return rows.finish();
}

USHER_FUNCTION(usher_raise_error) {
    const pg::Args args(fcinfo);
    const std::string_view name = args.text(0);
    const ErrorCode *const code = find_error_code(name);
    if (code == nullptr || code->sqlstate.empty())
        throw Error(errc::invalid_argument, "there is no error code \"" + std::string(name) + "\" that can be raised");
    throw Error(*code, std::string(args.text(1)), args.optional_output(2).value_or(""),
                std::string(args.optional_text(3).value_or("")));
}

USHER_FUNCTION(usher_uuid_v7) { return pg::result(pg::uuid(pg::new_uuid())); }

USHER_FUNCTION(usher_is_restoring) { return BoolGetDatum(pg::is_restoring()); }

USHER_FUNCTION(usher_installing_extension) {
    const char *const name =
        pg::call([] { return creating_extension ? get_extension_name(CurrentExtensionObject) : nullptr; });
    return name == nullptr ? pg::null_result(fcinfo) : pg::result(pg::text(name));
}
