// Whether a body is JSON that the database can take, found out before the database is asked.
#pragma once
#include <string>
#include <string_view>

namespace usher::gateway {

/// Throws Refused (400 malformed_request) for malformed JSON, invalid UTF-8, U+0000, a key that occurs twice in one
/// object, numbers beyond double precision's range and nesting deeper than max_depth.
void check_json(std::string_view text, int max_depth);

} // namespace usher::gateway
