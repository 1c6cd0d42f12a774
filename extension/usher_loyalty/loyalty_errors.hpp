// The error codes of usher_loyalty, class UL. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::insufficient_points and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode insufficient_points{"insufficient_points", "UL001", 409, "The customer has fewer points than are to be spent."};
inline constexpr ErrorCode already_rewarded{"already_rewarded", "UL002", 409, "The referral was rewarded, rejected or has expired already."};
inline constexpr ErrorCode offer_exhausted{"offer_exhausted", "UL003", 409, "The offer was used as often as it may be, by all or by this customer."};
inline constexpr ErrorCode points_account_closed{"points_account_closed", "UL004", 409, "The account of points is closed: nothing is earned or spent."};
inline constexpr ErrorCode loyalty_append_only{"loyalty_append_only", "UL005", 409, "Entries of the ledger of points, and rules that have been valid, do not change: add another one."};
inline constexpr ErrorCode offer_not_applicable{"offer_not_applicable", "UL006", 409, "The offer does not apply to this customer and situation."};
inline constexpr ErrorCode reward_unavailable{"reward_unavailable", "UL007", 409, "The reward is not offered now, out of stock, not for this customer, or taken by them as often as it may be."};
inline constexpr ErrorCode referral_refused{"referral_refused", "UL008", 409, "Nobody brings themselves along, or whoever has brought them; and only newcomers can be brought."};
inline constexpr ErrorCode code_invalid{"code_invalid", "", 422, "The code is not known, was used, has expired, or is somebody else's."};
// clang-format on

} // namespace usher::errc

namespace usher::loyalty {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::insufficient_points, &errc::offer_exhausted,      &errc::points_account_closed,
    &errc::loyalty_append_only, &errc::offer_not_applicable, &errc::reward_unavailable,
    &errc::code_invalid,        &errc::already_rewarded,     &errc::referral_refused,
};

} // namespace usher::loyalty
