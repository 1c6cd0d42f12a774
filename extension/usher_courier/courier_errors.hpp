// The error codes of usher_courier, class UM. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::invalid_template and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode invalid_template{"invalid_template", "UM001", 422, "The template cannot be read, or places something where it is not safe."};
// clang-format on

} // namespace usher::errc

namespace usher::courier {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::invalid_template,
};

} // namespace usher::courier
