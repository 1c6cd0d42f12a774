// Sums of money: whole numbers of minor units, never a floating-point number. What does not fit is an empty result,
// never a wrapped or rounded one. Currencies are in common/currency.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace usher::money {

/// The largest sum of one payment. A thousand times a thousand of them still fit into 64 bits with room to spare.
inline constexpr std::int64_t largest_amount = 1'000'000'000'000'000;

/// Of a payment or a refund: at least one minor unit, and not beyond the largest.
constexpr bool is_payable(std::int64_t amount) noexcept { return amount >= 1 && amount <= largest_amount; }

constexpr std::optional<std::int64_t> add(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
    return sum;
}

constexpr std::optional<std::int64_t> subtract(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference)) return std::nullopt;
    return difference;
}

constexpr std::optional<std::int64_t> multiply(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
    return product;
}

/// amount × numerator ÷ denominator, rounded half up: 0.5 becomes 1, and -0.5 becomes 0. The denominator must be above
/// zero. Nothing when the result does not fit.
std::optional<std::int64_t> share(std::int64_t amount, std::int64_t numerator, std::int64_t denominator) noexcept;

enum class Problem : std::uint8_t { none, malformed, too_precise, too_large };

struct Parsed {
    std::int64_t minor = 0;
    Problem problem = Problem::none;
};

/// "12.50" with exponent 2 is 1250. An optional sign, digits, at most one point; no exponent, no spaces, no separators
/// of thousands. Places beyond the exponent must be zeros: nothing is rounded away.
Parsed parse(std::string_view text, int exponent) noexcept;

/// 1250 with exponent 2 is "12.50".
std::string format(std::int64_t minor, int exponent);

} // namespace usher::money
