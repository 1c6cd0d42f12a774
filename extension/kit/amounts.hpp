// Amounts and currencies as callers give them.
#pragma once
#include <cstdint>
#include <string_view>

namespace usher::kit {

/// Throws 22023 for what is no currency of ISO 4217.
int require_currency(std::string_view currency);

/// Throws 22023 for what nothing can cost: less than nothing, or more than can be paid.
void require_price(std::int64_t amount_minor, std::string_view argument);

/// Throws 22023 unless it can be paid or refunded.
void require_payable(std::int64_t amount_minor, const char *argument);

} // namespace usher::kit
