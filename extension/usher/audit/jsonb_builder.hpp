// Arrays, composite values and JSON texts as jsonb, through the server's own builder, with limits: auditing must not
// take more memory than a jsonb can hold.
#pragma once
#include "usher/audit/row_encoder.hpp"

namespace usher::audit {

// A container holds 256 MB at most. Above this every larger value is left out, so that small ones still fit.
inline constexpr int container_budget = 100 * 1024 * 1024;
inline constexpr std::size_t always_fits = 256;
// Of an array or a composite value in all: NULLs take a bit there, but four bytes here, and much more on the way. An
// array or object within counts as several, for what it takes while it is made.
inline constexpr int max_elements = 2'000'000, container_elements = 4;

/// How large a value may be that is written as it is (setting usher.audit_max_value).
std::size_t value_limit();
/// {"$omitted": {"bytes": n}}
JsonbValue *omitted(std::size_t size);
/// How many values a JSON text has at most.
int count_values(std::string_view text);
/// A value of type json as jsonb; nullptr when jsonb would refuse it (duplicate keys, \\u0000, huge numbers …).
const Jsonb *json_to_jsonb(const text *bytes);
/// An array or a composite value; nullptr when it is too much.
const Jsonb *nested_to_jsonb(const ValueType &type, Datum value);
/// A table's row as jsonb, without its virtual columns: rows in memory have no value for them, read ones do.
Datum row_to_jsonb(Datum row);

} // namespace usher::audit
