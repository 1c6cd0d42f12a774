#include "usher_shop/orders/line_totals.hpp"
#include "common/money.hpp"
#include <algorithm>

namespace usher::shop {

namespace {
constexpr std::int64_t millionths = 1'000'000;
} // namespace

std::optional<std::int64_t> line_base(std::int64_t quantity, std::int64_t unit_price_minor) noexcept {
    if (quantity < 0 || unit_price_minor < 0) return std::nullopt;
    const std::optional<std::int64_t> base = money::multiply(quantity, unit_price_minor);
    if (!base || *base > money::largest_amount) return std::nullopt;
    return base;
}

std::optional<LineTotals> line_totals(const LinePrice &line) noexcept {
    const std::optional<std::int64_t> whole = line_base(line.quantity, line.unit_price_minor);
    const bool is_in_range = whole && line.quantity > 0 && line.gone >= 0 && line.gone <= line.quantity &&
                             line.discount_minor >= 0 && line.discount_minor <= *whole && line.tax_rate_ppm >= 0 &&
                             line.tax_rate_ppm <= millionths;
    if (!is_in_range) return std::nullopt;
    const std::int64_t left = line.quantity - line.gone;
    const std::optional<std::int64_t> discount = money::share(line.discount_minor, left, line.quantity);
    if (!discount) return std::nullopt;
    // Rounding up must not make the discount larger than the price of a part.
    LineTotals totals;
    totals.discount_minor = std::min(*discount, left * line.unit_price_minor);
    const std::int64_t price = left * line.unit_price_minor - totals.discount_minor;
    const std::optional<std::int64_t> tax =
        money::share(price, line.tax_rate_ppm, line.tax_included ? millionths + line.tax_rate_ppm : millionths);
    if (!tax) return std::nullopt;
    totals.tax_minor = *tax;
    totals.net_minor = line.tax_included ? price - *tax : price;
    totals.gross_minor = totals.net_minor + totals.tax_minor;
    return totals;
}

} // namespace usher::shop
