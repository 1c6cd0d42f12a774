// Discounts of whole orders, shared out among lines: nothing is lost, and no line costs less than nothing.
#include "usher_shop/orders/discount_shares.hpp"
#include <gtest/gtest.h>
#include <numeric>
#include <random>

namespace usher::shop {
namespace {
using Sums = std::vector<std::int64_t>;
} // namespace

TEST(DiscountShares, AreInProportion) { EXPECT_EQ(discount_shares(30, {100, 200}), (Sums{10, 20})); }

TEST(DiscountShares, GiveTheRestToTheLargestLine) { EXPECT_EQ(discount_shares(10, {100, 101, 100}), (Sums{3, 4, 3})); }

TEST(DiscountShares, GiveTheRestToTheLastOfEqualLines) {
    EXPECT_EQ(discount_shares(100, {50, 50, 50}), (Sums{33, 33, 34}));
}

TEST(DiscountShares, GoOnWhereTheLargestCostsNoMore) { EXPECT_EQ(discount_shares(2, {1, 1, 1}), (Sums{0, 1, 1})); }

TEST(DiscountShares, EndAtWhatAllLinesCost) { EXPECT_EQ(discount_shares(1000, {5, 0, 7}), (Sums{5, 0, 7})); }

TEST(DiscountShares, OfNothingAreNothing) {
    EXPECT_EQ(discount_shares(0, {5, 7}), (Sums{0, 0}));
    EXPECT_EQ(discount_shares(-1, {5, 7}), (Sums{0, 0}));
    EXPECT_EQ(discount_shares(9, {0, 0}), (Sums{0, 0}));
    EXPECT_EQ(discount_shares(9, {}), Sums{});
}

TEST(DiscountShares, OfTheLargestAmountsDoNotOverflow) {
    EXPECT_EQ(discount_shares(1'000'000'000'000'000, {1'000'000'000'000'000, 1'000'000'000'000'000}),
              (Sums{500'000'000'000'000, 500'000'000'000'000}));
}

TEST(DiscountShares, AddUpWhateverTheLinesCost) {
    std::mt19937_64 random(7); // NOLINT(cert-msc32-c,cert-msc51-cpp): the same every time
    for (int round = 0; round < 20000; ++round) {
        Sums costs(1 + random() % 8);
        for (std::int64_t &cost : costs) cost = static_cast<std::int64_t>(random() % (round % 2 ? 10 : 100000));
        const std::int64_t all = std::accumulate(costs.begin(), costs.end(), std::int64_t{0});
        const auto discount = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(all + 5));
        const Sums shares = discount_shares(discount, costs);
        EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::int64_t{0}), std::min(discount, all));
        for (std::size_t i = 0; i < costs.size(); ++i) EXPECT_TRUE(shares[i] >= 0 && shares[i] <= costs[i]);
    }
}

} // namespace usher::shop
