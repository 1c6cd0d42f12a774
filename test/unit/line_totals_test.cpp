#include "common/money.hpp"
#include "usher_shop/orders/line_totals.hpp"
#include <gtest/gtest.h>

namespace usher::shop {
namespace {

LineTotals of(std::int64_t quantity, std::int64_t price, std::int32_t rate, bool is_included, std::int64_t discount = 0,
              std::int64_t gone = 0) {
    const std::optional<LineTotals> totals = line_totals({quantity, gone, price, discount, rate, is_included});
    EXPECT_TRUE(totals.has_value());
    return totals.value_or(LineTotals{});
}

bool is_refused(std::int64_t quantity, std::int64_t price, std::int32_t rate, std::int64_t discount = 0,
                std::int64_t gone = 0) {
    return !line_totals({quantity, gone, price, discount, rate, true}).has_value();
}

TEST(LineTotals, TakesTaxOutOfAPriceThatIncludesIt) {
    const LineTotals line = of(3, 999, 190'000, true);
    EXPECT_EQ(line.gross_minor, 2997);
    EXPECT_EQ(line.tax_minor, 479); // 478.51
    EXPECT_EQ(line.net_minor, 2518);
}

TEST(LineTotals, AddsTaxToAPriceThatDoesNot) {
    const LineTotals line = of(2, 333, 190'000, false);
    EXPECT_EQ(line.net_minor, 666);
    EXPECT_EQ(line.tax_minor, 127); // 126.54
    EXPECT_EQ(line.gross_minor, 793);
}

TEST(LineTotals, RoundsOncePerLineHalfUp) {
    EXPECT_EQ(of(1, 50, 10'000, false).tax_minor, 1);  // 0.5
    EXPECT_EQ(of(1, 49, 10'000, false).tax_minor, 0);  // 0.49
    EXPECT_EQ(of(10, 5, 100'000, false).tax_minor, 5); // 0.5 a piece would be 10
}

TEST(LineTotals, GivesAPartItsShareOfTheDiscount) {
    EXPECT_EQ(of(3, 100, 0, true, 100).gross_minor, 200);
    const LineTotals part = of(3, 100, 0, true, 100, 1);
    EXPECT_EQ(part.discount_minor, 67);
    EXPECT_EQ(part.gross_minor, 133);
    EXPECT_EQ(of(3, 100, 0, true, 100, 3).gross_minor, 0);
    EXPECT_EQ(of(2, 1, 0, true, 1, 1).gross_minor, 0); // 0.5 becomes 1, and not more than the price
    EXPECT_EQ(of(3, 100, 190'000, true, 300).gross_minor, 0);
}

TEST(LineTotals, TaxesFromNothingToAll) {
    EXPECT_EQ(of(1, 100, 0, true).tax_minor, 0);
    EXPECT_EQ(of(1, 100, 1'000'000, true).tax_minor, 50);
    EXPECT_EQ(of(1, 100, 1'000'000, false).gross_minor, 200);
}

TEST(LineTotals, RefusesWhatIsOutOfRange) {
    EXPECT_TRUE(is_refused(0, 1, 0));
    EXPECT_TRUE(is_refused(-1, 1, 0));
    EXPECT_TRUE(is_refused(1, -1, 0));
    EXPECT_TRUE(is_refused(1, 1, -1));
    EXPECT_TRUE(is_refused(1, 1, 1'000'001));
    EXPECT_TRUE(is_refused(1, 10, 0, 11));
    EXPECT_TRUE(is_refused(1, 10, 0, -1));
    EXPECT_TRUE(is_refused(1, 10, 0, 0, 2));
    EXPECT_TRUE(is_refused(1, 10, 0, 0, -1));
    EXPECT_TRUE(is_refused(2, money::largest_amount, 0));
    EXPECT_TRUE(is_refused(INT64_MAX, INT64_MAX, 0));
    EXPECT_FALSE(is_refused(1, money::largest_amount, 1'000'000));
}

TEST(LineTotals, AddsUpAndNeverGrowsWhenAPartGoes) {
    std::uint64_t state = 42;
    const auto next = [&](std::uint64_t below) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::int64_t>((state >> 33) % below);
    };
    for (int i = 0; i < 100'000; ++i) {
        const std::int64_t quantity = 1 + next(20), price = next(5000);
        LinePrice line{quantity,
                       0,
                       price,
                       next(static_cast<std::uint64_t>(quantity * price) + 1),
                       static_cast<std::int32_t>(next(1'000'001)),
                       next(2) == 0};
        std::int64_t before = INT64_MAX;
        for (line.gone = 0; line.gone <= quantity; ++line.gone) {
            const std::optional<LineTotals> totals = line_totals(line);
            ASSERT_TRUE(totals.has_value());
            ASSERT_EQ(totals->gross_minor, totals->net_minor + totals->tax_minor);
            ASSERT_GE(totals->net_minor, 0);
            ASSERT_GE(totals->tax_minor, 0);
            ASSERT_LE(totals->gross_minor, before);
            before = totals->gross_minor;
        }
        ASSERT_EQ(before, 0);
    }
}

} // namespace
} // namespace usher::shop
