// TOTP time steps that have been used, kept in shared memory when the library is preloaded: a step stays used although
// the transaction that used it was rolled back, and of many that use it at once the others are refused without waiting.
#pragma once
#include "common/types.hpp"

namespace usher::identity::used_steps {

/// Takes the step for this call; false when this or a later one of the factor was taken. Always true without preload:
/// then the factor's row alone decides.
bool take(const Uuid &factor_id, std::int64_t step);

} // namespace usher::identity::used_steps
