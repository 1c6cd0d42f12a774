// What an offer takes off, whether it applies, and which of several are given together. Amounts are minor units;
// shares are rounded half up.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string>
#include <vector>

namespace usher::loyalty {

struct BasketLine {
    std::int64_t number = 0; // what the basket's owner calls it; by default its place, from 1
    std::optional<Uuid> product;
    std::int64_t quantity = 1;
    std::int64_t unit_minor = 0;
    [[nodiscard]] std::int64_t amount_minor() const { return quantity * unit_minor; } // read_basket() has checked it
};

struct Basket {
    std::int64_t amount_minor = 0;
    std::string currency;
    std::vector<BasketLine> lines;
};

/// Throws 22023 for what is no basket: {"amount_minor", "currency", "lines": [{"line_no", "product_id", "quantity",
/// "unit_minor", or "price_minor" as orders call it}]}. Without an amount it is that of the lines.
Basket read_basket(std::string_view json);

enum class OfferKind : std::uint8_t { percent, amount, buy_x_get_y };

struct OfferTerms {
    OfferKind kind = OfferKind::percent;
    std::int64_t hundredths_of_percent = 0;
    std::int64_t amount_minor = 0;
    std::string currency; // empty: any
    std::int64_t buy = 0, get = 0;
    std::optional<std::int64_t> max_discount_minor;
    std::vector<Uuid> products; // that it is for; none: all
};

/// Never more than what it is taken off. Of "buy x, get y" the cheapest of each x + y are free.
std::int64_t discount_of(const OfferTerms &terms, const Basket &basket);

/// What an offer can take off each line of the basket: nothing of one that it is not for, and of "buy x, get y" what of
/// the line is free.
std::vector<std::int64_t> discount_limits(const OfferTerms &terms, const Basket &basket);

/// A sum in proportion to weights, in whole units: what is left after rounding down goes to the largest remainders, of
/// equal ones to the first. Nobody gets more than their weight unless the sum is larger than all weights.
std::vector<std::int64_t> spread(std::int64_t sum, const std::vector<std::int64_t> &weights);

/// What must be true for an offer to apply, in the order in which its absence is told.
struct OfferTests {
    bool is_live = true;     // its status, and its window
    bool has_voucher = true; // or needs none
    bool is_left = true;     // of all uses
    bool is_left_for_customer = true;
    bool fits_tier = true, fits_segment = true, fits_first_visit = true;
    bool fits_location = true, fits_service = true, fits_products = true;
    bool fits_weekday = true, fits_hour = true;
    bool fits_currency = true, reaches_minimum = true;
};

/// "not_valid_now", "used_up" and so on; empty when it applies.
std::string_view why_not(const OfferTests &tests) noexcept;

struct LineShare {
    std::int64_t number = 0;
    std::int64_t discount_minor = 0;
    friend bool operator==(const LineShare &, const LineShare &) = default;
};

struct OfferChoice {
    int priority = 0;
    std::int64_t discount_minor = 0;
    bool is_stackable = false;
    std::string stack_group;
    std::vector<std::int64_t> limits; // discount_limits()
    // The answer.
    bool is_given = false;
    std::vector<LineShare> lines; // where its discount belongs; none without lines in the basket
};

/// An offer that was given for the same thing before.
struct GivenOffer {
    std::int64_t discount_minor = 0;
    bool is_stackable = false;
    std::string stack_group;
    std::vector<LineShare> lines; // none: of all lines, in proportion
};

/// Of those that apply: the one of the highest priority, of equal ones the largest; when it is stackable, further
/// stackable ones of other groups, as long as something is left to take them off. Discounts are cut to what is left, of
/// the whole and of each line. What was given before comes first.
void choose(std::vector<OfferChoice> &offers, const Basket &basket, const std::vector<GivenOffer> &given = {});

} // namespace usher::loyalty
