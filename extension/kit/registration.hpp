// What an extension's install script asks its library, in order to register it.
#pragma once
#include "common/error_codes.hpp"
#include "kit/server.hpp"
#include <span>

namespace usher::kit {

/// The body of a function `_<feature>_error_codes() RETURNS jsonb`: the codes as usher.register_extension() takes them.
Datum error_codes(FunctionCallInfo fcinfo, std::span<const ErrorCode *const> codes);

} // namespace usher::kit
