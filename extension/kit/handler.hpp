// Calling a function that somebody else wrote, as its owner and with nothing more (pg/foreign_call.hpp).
#pragma once
#include "kit/server.hpp"
#include <span>

namespace usher::kit {

/// Cancels it after so many seconds; 0: never. Throws what it raises.
void call_handler(Oid function, std::span<const pg::Param> arguments, int seconds);

} // namespace usher::kit
