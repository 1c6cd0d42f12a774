// The error codes of usher_booking, class UB. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::slot_taken and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode slot_taken{"slot_taken", "UB001", 409, "The staff member or the customer has another booking at this time."};
inline constexpr ErrorCode capacity_full{"capacity_full", "UB002", 409, "The location has no place left at this time."};
inline constexpr ErrorCode outside_hours{"outside_hours", "UB003", 422, "The location is not open during the whole booking."};
inline constexpr ErrorCode notice_or_horizon{"notice_or_horizon", "UB004", 422, "The start is too soon or too far ahead."};
inline constexpr ErrorCode staff_not_eligible{"staff_not_eligible", "UB005", 409, "The staff member cannot take this booking."};
inline constexpr ErrorCode too_late_to_cancel{"too_late_to_cancel", "UB006", 409, "It is too late to cancel or move the booking."};
inline constexpr ErrorCode hold_expired{"hold_expired", "UB007", 409, "The hold of a pending booking has run out."};
inline constexpr ErrorCode not_on_slot_grid{"not_on_slot_grid", "UB008", 422, "No slot of the service begins at this time."};
inline constexpr ErrorCode location_in_use{"location_in_use", "UB009", 409, "The location has bookings that are still to come."};
inline constexpr ErrorCode daily_limit{"daily_limit", "UB010", 409, "The customer has as many bookings on this local day as the service allows."};
// clang-format on

} // namespace usher::errc

namespace usher::booking {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::slot_taken,         &errc::capacity_full,      &errc::outside_hours, &errc::notice_or_horizon,
    &errc::staff_not_eligible, &errc::too_late_to_cancel, &errc::hold_expired,  &errc::not_on_slot_grid,
    &errc::location_in_use,    &errc::daily_limit,
};

} // namespace usher::booking
