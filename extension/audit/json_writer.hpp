// Writes single values of a jsonb in its binary form.
#pragma once
#include "audit/row_encoder.hpp"

namespace usher::audit {

/// Appends a value to the buffer of a container under construction; returns the type bits of its JEntry.
JEntry write_value(StringInfo buffer, const ValueType &type, FmgrInfo *output, Datum value);
/// The value's text: that of a JSON string or number without quotes, otherwise the type's own.
char *value_text(const ValueType &type, FmgrInfo *output, Datum value);
/// A table's row as jsonb, without its virtual columns: rows in memory have no value for them, read ones do.
Datum row_to_jsonb(Datum row);
JEntry write_string(StringInfo buffer, const char *text, std::size_t length);

} // namespace usher::audit
