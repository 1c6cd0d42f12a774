// The error codes of usher_loyalty, class UL. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::insufficient_points and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode insufficient_points{"insufficient_points", "UL001", 409, "The customer has fewer points than are to be spent."};
inline constexpr ErrorCode points_account_closed{"points_account_closed", "UL004", 409, "The account of points is closed: nothing is earned or spent."};
inline constexpr ErrorCode loyalty_append_only{"loyalty_append_only", "UL005", 409, "Entries of the ledger of points, and rules that have been valid, do not change: add another one."};
// clang-format on

} // namespace usher::errc

namespace usher::loyalty {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::insufficient_points,
    &errc::points_account_closed,
    &errc::loyalty_append_only,
};

} // namespace usher::loyalty
