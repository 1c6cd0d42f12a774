// Results as JSON.
#pragma once
#include "pg/pg.hpp"

namespace usher::http {

/// Appends a value of any type. Plain frame: may raise an ERROR.
/// Times are RFC 3339 in UTC and intervals ISO 8601, whatever the session's settings; numbers stay exact; NaN and
/// infinities are strings; arrays and rows nest; everything else is the text of its type's output function.
void append_json(StringInfo out, Datum value, Oid type);

} // namespace usher::http
