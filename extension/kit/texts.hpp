// Texts as callers give them.
#pragma once
#include <cstddef>
#include <string_view>

namespace usher::kit {

/// Number of characters, in the encoding of the database, as length() counts them: CHECKs of tables do.
std::size_t characters(std::string_view text);

/// Throws 22023 unless it can be kept as the idempotency key of a call, with the same limit as usher.replay_call().
void require_idempotency_key(std::string_view key);

} // namespace usher::kit
