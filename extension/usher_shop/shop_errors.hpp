// The error codes of usher_shop, class UC. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::out_of_stock and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode out_of_stock{"out_of_stock", "UC001", 409, "More is asked for than is available."};
inline constexpr ErrorCode stock_reserved{"stock_reserved", "UC002", 409, "What is to be taken away is reserved: release it first."};
inline constexpr ErrorCode reservation_over{"reservation_over", "UC003", 409, "The reservation has expired, or less of it is left than is asked for."};
inline constexpr ErrorCode inventory_fixed{"inventory_fixed", "UC004", 409, "Stock levels, their log and prices in force are not rewritten: book another movement, or add another price."};
inline constexpr ErrorCode not_for_sale{"not_for_sale", "UC005", 409, "The product is not active, or has no price in this currency."};
inline constexpr ErrorCode count_closed{"count_closed", "UC006", 409, "The stock count is over."};
inline constexpr ErrorCode price_changed{"price_changed", "UC007", 409, "The order costs another sum than the caller has seen."};
inline constexpr ErrorCode line_exhausted{"line_exhausted", "UC008", 409, "Less of the line is left than is to be sent, cancelled or returned."};
inline constexpr ErrorCode order_event_fixed{"order_event_fixed", "UC009", 409, "Events of orders are only added."};
// clang-format on

} // namespace usher::errc

namespace usher::shop {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::out_of_stock, &errc::stock_reserved, &errc::reservation_over, &errc::inventory_fixed,   &errc::not_for_sale,
    &errc::count_closed, &errc::price_changed,  &errc::line_exhausted,   &errc::order_event_fixed,
};

} // namespace usher::shop
