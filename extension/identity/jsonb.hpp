// Claims as jsonb, also where the database is not in UTF-8.
#pragma once
#include "pg/value.hpp"

namespace usher::identity {

/// Makes a jsonb of JSON text that core/json has accepted, in the current memory context. Nothing when the database's
/// encoding lacks one of its characters.
std::optional<Datum> jsonb_of_claims(std::string_view json);

/// A jsonb argument as JSON text in UTF-8.
std::string json_of_argument(Datum jsonb);

/// The row (claims jsonb, error text) of a function that verifies a token. The claims are copied.
Datum claims_or_error(FunctionCallInfo fcinfo, std::optional<Datum> claims, std::string_view error);

} // namespace usher::identity
