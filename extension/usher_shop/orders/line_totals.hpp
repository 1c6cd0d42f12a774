// What a line of an order costs. Whole minor units, one rule: each line is rounded once, half up, and an order is the
// sum of its lines.
#pragma once
#include <cstdint>
#include <optional>

namespace usher::shop {

struct LinePrice {
    std::int64_t quantity = 0;         // that was ordered
    std::int64_t gone = 0;             // of it cancelled or returned
    std::int64_t unit_price_minor = 0; // of one unit
    std::int64_t discount_minor = 0;   // of all units, between 0 and their price
    std::int32_t tax_rate_ppm = 0;     // millionths
    bool tax_included = true;          // in the price; else it comes on top
};

struct LineTotals {
    std::int64_t discount_minor = 0;
    std::int64_t net_minor = 0;
    std::int64_t tax_minor = 0;
    std::int64_t gross_minor = 0;
};

/// Quantity times price; nothing when it is above the largest amount, or below nothing.
std::optional<std::int64_t> line_base(std::int64_t quantity, std::int64_t unit_price_minor) noexcept;

/// Of the units that are neither cancelled nor returned, which keep their share of the discount. Nothing when a number
/// is out of its range.
std::optional<LineTotals> line_totals(const LinePrice &line) noexcept;

} // namespace usher::shop
