// Error codes: those of core, which are compiled in, and those that extensions and applications have registered.
#pragma once
#include "common/error_codes.hpp"

namespace usher::registration {

/// By name; nullptr when nobody knows it. Good until the next call.
const ErrorCode *find_error(std::string_view code);
/// By SQLSTATE, when it is one of ours or was registered.
const ErrorCode *find_sqlstate(std::string_view sqlstate);

} // namespace usher::registration
