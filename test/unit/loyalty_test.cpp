#include "common/error.hpp"
#include "usher_loyalty/offers/offer_rule.hpp"
#include "usher_loyalty/points/lots.hpp"
#include "usher_loyalty/points/purchase.hpp"
#include "usher_loyalty/rules/earning.hpp"
#include "usher_loyalty/tiers/tier_rule.hpp"
#include <gtest/gtest.h>

using namespace usher;
using namespace usher::loyalty;

namespace {
const Poll no_poll = [] {};

std::int64_t points(std::string_view expression, std::string_view purchase, std::string_view condition = "true",
                    bool counts_lines = false) {
    return points_for(parse_rule(condition, expression, counts_lines, std::nullopt),
                      expression::from_json(purchase).value(), no_poll);
}

Uuid id(std::uint8_t number) {
    Uuid out;
    out.bytes[15] = number;
    return out;
}
} // namespace

TEST(EarningRule, PointsAreWhole) {
    EXPECT_EQ(points("r.amount_minor / 100", R"({"amount_minor": 199})"), 1);
    EXPECT_EQ(points("0.99", "{}"), 0);
    EXPECT_EQ(points("-3", "{}"), 0);
}

TEST(EarningRule, ConditionDecides) {
    EXPECT_EQ(points("5", R"({"tier": "GOLD"})", "r.tier == 'GOLD'"), 5);
    EXPECT_EQ(points("5", R"({"tier": null})", "r.tier == 'GOLD'"), 0);
    EXPECT_EQ(points("5", "{}", "r.tier > 3"), 0);
}

TEST(EarningRule, LinesAreSummedBeforePointsAreCutOff) {
    EXPECT_EQ(points("p.quantity * 0.5", R"({"lines": [{"quantity": 1}, {"quantity": 2}]})", "true", true), 1);
    EXPECT_EQ(points("p.quantity", "{}", "true", true), 0);
}

TEST(EarningRule, WrongExpressionsAreRefusedWhenTheyAreParsed) {
    for (const char *wrong : {"", "1 +", "x", "q.a", "p.a", "system(1)", "floor()", "min()", "floor(1, 2)"})
        EXPECT_THROW((void)parse_rule("true", wrong, false, std::nullopt), Error) << wrong;
}

TEST(EarningRule, WhatIsNoFiniteNumberIsRefused) {
    for (const char *wrong : {"1 / 0", "'a'", "true", "floor('1')"})
        EXPECT_THROW((void)points(wrong, "{}"), Error) << wrong;
}

TEST(EarningRule, ThereIsAMost) { EXPECT_EQ(points("1000000000 * 1000000000", "{}"), most_points); }

TEST(KeptPoints, InProportionRoundedHalfUp) {
    EXPECT_EQ(kept_points(100, 1000, 0), 100);
    EXPECT_EQ(kept_points(100, 1000, 255), 75);
    EXPECT_EQ(kept_points(1, 2, 1), 1);
    EXPECT_EQ(kept_points(100, 1000, 1000), 0);
    EXPECT_EQ(kept_points(100, 1000, 5000), 0);
    EXPECT_EQ(kept_points(100, 0, 0), 0);
}

TEST(Lots, TheOldestIsSpentFirst) {
    const auto posting = take(7, {{id(1), 5}, {id(2), 5}}, false);
    ASSERT_TRUE(posting);
    EXPECT_EQ(posting->lots, (std::vector<LotChange>{{id(1), -5}, {id(2), -2}}));
    EXPECT_EQ(posting->balance, -7);
    EXPECT_EQ(posting->debt, 0);
}

TEST(Lots, WhatIsNotThereIsOwedOnlyWhereThatIsAllowed) {
    EXPECT_FALSE(take(7, {{id(1), 5}}, false));
    const auto posting = take(7, {{id(1), 5}}, true);
    ASSERT_TRUE(posting);
    EXPECT_EQ(posting->balance, -5);
    EXPECT_EQ(posting->debt, 2);
}

TEST(Lots, WhatHasPaidDebtIsNoLot) {
    EXPECT_EQ(lot_of(10, 110), 10); // 100 before
    EXPECT_EQ(lot_of(10, 6), 6);    // a debt of 4 before
    EXPECT_EQ(lot_of(3, 0), 0);     // a debt of 3 or more
}

TEST(Lots, PointsGoBackToWhereTheyCameFromTheLatestFirst) {
    const auto posting = give_back(6, 1, {{id(1), 5}, {id(2), 4}});
    ASSERT_TRUE(posting);
    EXPECT_EQ(posting->lots, (std::vector<LotChange>{{id(2), 4}, {id(1), 1}}));
    EXPECT_EQ(posting->balance, 5);
    EXPECT_EQ(posting->debt, -1);
    EXPECT_FALSE(give_back(10, 0, {{id(1), 5}, {id(2), 4}}));
}

TEST(Tiers, UpAtOnceDownAfterTheGrace) {
    const std::vector<Tier> tiers{{1, true, 100}, {2, false, 100}, {3, false, 100}};
    EXPECT_EQ(next_tier(tiers, {0, std::nullopt}, 50), (TierState{1, std::nullopt}));
    EXPECT_EQ(next_tier(tiers, {2, std::nullopt}, 50), (TierState{2, 100}));
    EXPECT_EQ(next_tier(tiers, {2, 80}, 79), (TierState{2, 80}));
    EXPECT_EQ(next_tier(tiers, {2, 80}, 80), (TierState{1, std::nullopt}));
    EXPECT_EQ(next_tier({{1, true, 0}, {2, true, 0}}, {1, 80}, 79), (TierState{2, std::nullopt}));
    EXPECT_EQ(next_tier({{1, true, 0}, {2, true, 0}}, {2, 80}, 79), (TierState{2, std::nullopt}));
}

TEST(Tiers, WithoutGraceItIsLostAtOnce) {
    EXPECT_EQ(next_tier({{1, false, 50}}, {1, std::nullopt}, 50), (TierState{0, std::nullopt}));
    EXPECT_EQ(next_tier({}, {1, std::nullopt}, 50), (TierState{0, std::nullopt}));
}

TEST(Purchase, WhatIsRefundedIsDeductedOfThePaymentAndOfWhatItPaidFor) {
    const PurchaseNews news =
        read_purchase("payment.partially_refunded",
                      R"({"transaction_id": "00000000-0000-7000-8000-000000000001", "refunded_minor": 5,
                          "reference_type": "booking", "reference_id": "00000000-0000-7000-8000-000000000002"})");
    EXPECT_FALSE(news.purchase);
    ASSERT_EQ(news.deductions.size(), 2U);
    EXPECT_EQ(news.deductions[0].source.type, "booking");
    EXPECT_EQ(news.deductions[1].source.type, "payment");
    EXPECT_EQ(news.deductions[0].cause, news.deductions[1].source.id);
    EXPECT_EQ(news.deductions[0].kind, "returned");
}

TEST(Purchase, WhatAllPaymentsHaveGivenBackStandsForEachOfThem) {
    const PurchaseNews news =
        read_purchase("payment.partially_refunded",
                      R"({"transaction_id": "00000000-0000-7000-8000-000000000001", "refunded_minor": 5,
                          "reference_type": "booking", "reference_id": "00000000-0000-7000-8000-000000000002",
                          "reference_captured_minor": 25, "reference_refunded_minor": 15})");
    ASSERT_TRUE(news.standing);
    EXPECT_EQ(news.standing->source.type, "booking");
    EXPECT_EQ(news.standing->captured_minor, 25);
    EXPECT_EQ(news.standing->refunded_minor, 15);
    ASSERT_EQ(news.deductions.size(), 1U);
    EXPECT_EQ(news.deductions[0].source.type, "payment");
}

TEST(Purchase, ASecondChargeIsNoPurchase) {
    const PurchaseNews news = read_purchase(
        "payment.completed", R"({"transaction_id": "00000000-0000-7000-8000-000000000001", "captured_minor": 5,
            "customer_id": "00000000-0000-7000-8000-000000000003", "purpose": "duplicate"})");
    EXPECT_FALSE(news.purchase);
    EXPECT_TRUE(news.deductions.empty());
}

TEST(Purchase, WhatIsReturnedOfAnOrderLeavesTheRest) {
    const PurchaseNews news =
        read_purchase("order.returned", R"({"id": "00000000-0000-7000-8000-000000000001", "total_minor": 7})");
    ASSERT_TRUE(news.standing);
    EXPECT_EQ(news.standing->kept_minor, 7);
    EXPECT_FALSE(news.standing->captured_minor);
    EXPECT_THROW((void)read_purchase("order.returned", R"({"id": "00000000-0000-7000-8000-000000000001"})"), Error);
    EXPECT_THROW((void)read_purchase("order.returned", R"({"total_minor": 7})"), Error);
}

TEST(Purchase, WhatIsOnlyOnItsWayBackIsNotDeductedYet) {
    const PurchaseNews news = read_purchase("payment.partially_refunded", R"({
        "transaction_id": "00000000-0000-7000-8000-000000000001", "refunded_minor": 5, "refund_reserved_minor": 3})");
    ASSERT_EQ(news.deductions.size(), 1U);
    EXPECT_EQ(news.deductions[0].amount_minor, 2);
}

TEST(Purchase, AVoucherIsNoMoney) {
    const PurchaseNews news = read_purchase(
        "payment.completed", R"({"transaction_id": "00000000-0000-7000-8000-000000000001", "captured_minor": 5,
            "customer_id": "00000000-0000-7000-8000-000000000003", "payment_method": "voucher"})");
    ASSERT_TRUE(news.purchase);
    EXPECT_FALSE(news.purchase->is_money);
    ASSERT_EQ(news.deductions.size(), 1U);
    EXPECT_EQ(news.deductions[0].kind, "not_money");
}

TEST(Purchase, PaymentsOfOthersMayHaveIdsOfTheirOwn) {
    const char *payload = R"({"transaction_id": "ch_17", "captured_minor": 5,
                              "customer_id": "00000000-0000-7000-8000-000000000003"})";
    const PurchaseNews one = read_purchase("payment.completed", payload),
                       again = read_purchase("payment.completed", payload);
    ASSERT_TRUE(one.purchase && again.purchase);
    EXPECT_EQ(one.purchase->source.id, again.purchase->source.id);
    EXPECT_FALSE(read_purchase("payment.completed", R"({"transaction_id": "ch_17", "captured_minor": 5})").purchase);
    EXPECT_FALSE(read_purchase("payment.completed", "{}").purchase);
    EXPECT_TRUE(read_purchase("payment.refunded", "{}").deductions.empty());
}

TEST(Purchase, MalformedPayloadsAreRefused) {
    for (const char *wrong : {"", "[]", "{}", R"({"id": 1})",
                              R"({"id": "00000000-0000-7000-8000-000000000001", "total_minor": 1e300,
                                  "customer_id": "00000000-0000-7000-8000-000000000003"})"})
        EXPECT_THROW((void)read_purchase("order.completed", wrong), Error) << wrong;
}

namespace {
Basket basket_of(std::vector<std::int64_t> units) {
    Basket out;
    for (const std::int64_t each : units) {
        out.lines.push_back({static_cast<std::int64_t>(out.lines.size()) + 1, id(1), 1, each});
        out.amount_minor += each;
    }
    return out;
}

OfferChoice choice_of(const Basket &basket, std::int64_t discount, bool is_stackable, int priority = 0) {
    OfferChoice out;
    out.priority = priority;
    out.discount_minor = discount;
    out.is_stackable = is_stackable;
    out.limits = discount_limits({}, basket);
    return out;
}
} // namespace

TEST(Offers, ASumIsSpreadExactly) {
    EXPECT_EQ(spread(100, {1, 1, 1}), (std::vector<std::int64_t>{34, 33, 33}));
    EXPECT_EQ(spread(2, {1, 1, 1}), (std::vector<std::int64_t>{1, 1, 0}));
    EXPECT_EQ(spread(5, {0, 10}), (std::vector<std::int64_t>{0, 5}));
    EXPECT_EQ(spread(5, {0, 0}), (std::vector<std::int64_t>{0, 0}));
    constexpr std::int64_t most = 1'000'000'000'000'000;
    EXPECT_EQ(spread(most, {most, most, 1}), (std::vector<std::int64_t>{most / 2, most / 2, 0}));
}

TEST(Offers, NoLineIsBelowZero) {
    const Basket basket = basket_of({100, 50});
    std::vector<OfferChoice> offers{choice_of(basket, 90, true, 2), choice_of(basket, 100, true)};
    offers[0].limits = {100, 0}; // for the first line only
    choose(offers, basket);
    EXPECT_EQ(offers[0].lines, (std::vector<LineShare>{{1, 90}}));
    EXPECT_EQ(offers[1].lines, (std::vector<LineShare>{{1, 10}, {2, 50}}));
    EXPECT_EQ(offers[1].discount_minor, 60);
}

TEST(Offers, WhatWasGivenBeforeComesFirst) {
    const Basket basket = basket_of({60, 40});
    std::vector<OfferChoice> alone{choice_of(basket, 30, false, 9)}, joins{choice_of(basket, 30, true)};
    choose(alone, basket, {{10, true, "", {}}});
    EXPECT_FALSE(alone[0].is_given);
    choose(joins, basket, {{90, true, "", {}}});
    EXPECT_EQ(joins[0].discount_minor, 10);
    EXPECT_EQ(joins[0].lines, (std::vector<LineShare>{{1, 6}, {2, 4}}));
    std::vector<OfferChoice> beside{choice_of(basket, 30, true)};
    choose(beside, basket, {{1, false, "", {}}});
    EXPECT_FALSE(beside[0].is_given);
}
