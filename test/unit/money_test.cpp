#include "common/currency.hpp"
#include "common/money.hpp"
#include <gtest/gtest.h>
#include <limits>

using namespace usher::money;

namespace {
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();
} // namespace

TEST(Currency, HasTheExponentOfIso4217) {
    EXPECT_EQ(exponent_of("EUR"), 2);
    EXPECT_EQ(exponent_of("JPY"), 0);
    EXPECT_EQ(exponent_of("KWD"), 3);
    EXPECT_EQ(exponent_of("CLF"), 4);
}

TEST(Currency, IsWrittenInThreeCapitalLetters) {
    for (const char *code : {"eur", "EU", "EURO", "", "XXX", "XAU", "XTS", "ZZZ", "AAA"})
        EXPECT_FALSE(exponent_of(code)) << code;
}

TEST(Currency, ListIsSortedAndFindsEachOfItsOwn) {
    for (const Currency &each : currencies()) EXPECT_EQ(exponent_of(each.code), each.exponent) << each.code;
    EXPECT_GT(currencies().size(), 150u);
}

TEST(Money, ArithmeticRefusesWhatDoesNotFit) {
    EXPECT_EQ(add(largest, -1), largest - 1);
    EXPECT_FALSE(add(largest, 1));
    EXPECT_FALSE(subtract(smallest, 1));
    EXPECT_EQ(multiply(3, -4), -12);
    EXPECT_FALSE(multiply(largest, 2));
}

TEST(Money, IsPayableFromOneMinorUnitToTheLargestAmount) {
    EXPECT_FALSE(is_payable(0));
    EXPECT_FALSE(is_payable(-1));
    EXPECT_TRUE(is_payable(1));
    EXPECT_TRUE(is_payable(largest_amount));
    EXPECT_FALSE(is_payable(largest_amount + 1));
    EXPECT_FALSE(is_payable(largest));
}

TEST(Money, ShareRoundsHalfUp) {
    EXPECT_EQ(share(101, 50, 100), 51);
    EXPECT_EQ(share(1, 1, 2), 1);
    EXPECT_EQ(share(-1, 1, 2), 0);
    EXPECT_EQ(share(-3, 1, 2), -1);
    EXPECT_EQ(share(10, 1, 3), 3);
    EXPECT_EQ(share(20, 1, 3), 7);
    EXPECT_EQ(share(0, 7, 9), 0);
}

TEST(Money, ShareDoesNotOverflowOnTheWay) {
    EXPECT_EQ(share(largest, largest, largest), largest);
    EXPECT_FALSE(share(largest, 2, 1));
    EXPECT_FALSE(share(smallest, largest, 1));
    EXPECT_FALSE(share(1, 1, 0));
    EXPECT_FALSE(share(1, 1, -1));
}

TEST(Money, ParsesPlacesByTheExponent) {
    EXPECT_EQ(parse("12.50", 2).minor, 1250);
    EXPECT_EQ(parse("12.5", 2).minor, 1250);
    EXPECT_EQ(parse("-0.01", 2).minor, -1);
    EXPECT_EQ(parse("+7", 0).minor, 7);
    EXPECT_EQ(parse("1.2340", 3).minor, 1234);
    EXPECT_EQ(parse("500.00", 0).minor, 500);
}

TEST(Money, RefusesWhatIsNoDecimalNumber) {
    for (const char *text :
         {"", "-", ".", "1.", ".5", "1e3", "NaN", "Infinity", "1,000", " 1", "1 ", "--1", "1.2.3", "0x1"})
        EXPECT_EQ(parse(text, 2).problem, Problem::malformed) << text;
}

TEST(Money, RoundsNothingAway) {
    EXPECT_EQ(parse("0.001", 2).problem, Problem::too_precise);
    EXPECT_EQ(parse("0.5", 0).problem, Problem::too_precise);
}

TEST(Money, RefusesWhatDoesNotFitInto64Bits) {
    EXPECT_EQ(parse("92233720368547758.07", 2).minor, largest);
    EXPECT_EQ(parse("92233720368547758.08", 2).problem, Problem::too_large);
    EXPECT_EQ(parse("99999999999999999999999999999", 0).problem, Problem::too_large);
}

TEST(Money, FormatsWithAllPlaces) {
    EXPECT_EQ(format(1250, 2), "12.50");
    EXPECT_EQ(format(5, 2), "0.05");
    EXPECT_EQ(format(-5, 3), "-0.005");
    EXPECT_EQ(format(7, 0), "7");
    EXPECT_EQ(format(smallest, 2), "-92233720368547758.08");
}
