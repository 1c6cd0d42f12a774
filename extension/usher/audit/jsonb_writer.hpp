// Writes single values of a jsonb in its binary form.
#pragma once
#include "usher/audit/row_encoder.hpp"

namespace usher::audit {

/// Appends a value to the buffer of a container under construction; returns the type bits of its JEntry.
JEntry write_value(StringInfo buffer, const ValueType &type, FmgrInfo *output, Datum value);
JEntry write_string(StringInfo buffer, const char *text, std::size_t length);

} // namespace usher::audit
