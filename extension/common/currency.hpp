// The currencies of ISO 4217 that are in use, with the exponents of their minor units: EUR 2, JPY 0, KWD 3.
#pragma once
#include <optional>
#include <span>
#include <string_view>

namespace usher::money {

struct Currency {
    std::string_view code; // three capital letters
    int exponent;          // how many decimal places the minor unit stands for
};

/// All of them, by code.
std::span<const Currency> currencies() noexcept;

/// Nothing for a code that is no currency. Lower case is none.
std::optional<int> exponent_of(std::string_view code) noexcept;

} // namespace usher::money
