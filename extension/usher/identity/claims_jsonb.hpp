// Claims as jsonb, also where the database is not in UTF-8.
#pragma once
#include "common/json.hpp"
#include "pg/value.hpp"

namespace usher::identity {

/// Appends the binary form of a JSON object that common/json has accepted, without parsing it a second time: the datum
/// is a pointer to the first of the bytes. False when the database's encoding lacks one of its characters.
bool append_claims(std::string &out, json::Value object);

/// A jsonb argument as JSON text in UTF-8.
std::string json_of_argument(Datum jsonb);

/// The row (claims jsonb, error text) of a function that verifies a token. The claims are copied.
Datum claims_or_error(FunctionCallInfo fcinfo, std::optional<Datum> claims, std::string_view error);

} // namespace usher::identity
