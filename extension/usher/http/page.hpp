// Lists in pages: an opaque cursor stands for the key of the last row that was sent (keyset, no offsets).
#pragma once
#include "usher/http/arguments.hpp"

namespace usher::http {

/// Replaces the query parameter "cursor" by the arguments it stands for. False, with an entry in `errors`, when it is
/// not one of ours.
bool open_cursor(const Function &function, std::vector<route::QueryParameter> &query, std::vector<FieldError> &errors);

/// key: a JSON array of strings, one for each part of the function's key.
std::string make_cursor(std::string_view key);

/// Link to the page behind a cursor (RFC 8288): the same request with another cursor.
std::string next_link(std::string_view path, std::string_view query, std::string_view cursor);

} // namespace usher::http
