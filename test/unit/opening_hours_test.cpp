#include "common/error.hpp"
#include "usher_booking/opening_hours/opening_hours.hpp"
#include "usher_booking/opening_hours/opening_hours_json.hpp"
#include <gtest/gtest.h>

using namespace usher;
using namespace usher::hours;

namespace {
constexpr std::int64_t hour = 3600 * second_us;
const Zone utc{0, {}};
Period period(int opens, int closes) { return {opens * hour, closes * hour}; }
TimeRange span(std::int64_t from_hour, std::int64_t until_hour) { return {from_hour * hour, until_hour * hour}; }
std::vector<std::int64_t> flat(const std::vector<TimeRange> &ranges) {
    std::vector<std::int64_t> out;
    for (const TimeRange &each : ranges) {
        out.push_back(each.from / hour);
        out.push_back(each.until / hour);
    }
    return out;
}
using Hours = std::vector<std::int64_t>;
} // namespace

TEST(OpenPeriods, WeeklyOnItsWeekday) {
    Calendar calendar;
    calendar.weekly = {{5, period(8, 12)}, {5, period(13, 18)}}; // 1970-01-02 was a Friday
    EXPECT_EQ(flat(open_periods(calendar, utc, span(0, 72))), (Hours{32, 36, 37, 42}));
    EXPECT_TRUE(open_periods(calendar, utc, span(42, 72)).empty());
    EXPECT_TRUE(open_periods(calendar, utc, span(35, 35)).empty());
}

TEST(OpenPeriods, OvernightReachesIntoTheWindow) {
    Calendar calendar;
    calendar.weekly = {{4, period(22, 6)}};
    EXPECT_EQ(flat(open_periods(calendar, utc, span(25, 26))), (Hours{22, 30}));
    calendar.weekly = {{4, period(0, 24)}};
    EXPECT_EQ(flat(open_periods(calendar, utc, span(0, 48))), (Hours{0, 24}));
    calendar.weekly = {{4, period(8, 8)}}; // around the clock
    EXPECT_EQ(flat(open_periods(calendar, utc, span(0, 48))), (Hours{8, 32}));
}

TEST(OpenPeriods, SpecialDatesReplaceAndHoursHaveAValidity) {
    Calendar calendar;
    for (int weekday = 1; weekday <= 7; ++weekday) calendar.weekly.push_back({weekday, period(9, 10), 1, 4});
    calendar.special = {{2, {}}, {3, {period(20, 21)}}};
    EXPECT_EQ(flat(open_periods(calendar, utc, span(0, 240))), (Hours{33, 34, 92, 93}));
}

TEST(OpenPeriods, PollsInLongWindows) {
    int polls = 0;
    open_periods({}, utc, {0, 1000 * day_us}, [&] { ++polls; });
    EXPECT_GT(polls, 10);
}

TEST(Ranges, MergeTouchingOnes) {
    EXPECT_EQ(flat(merge({span(5, 6), span(1, 3), span(3, 4), span(2, 3), span(7, 7)})), (Hours{1, 4, 5, 6}));
    EXPECT_TRUE(merge({}).empty());
}

TEST(Ranges, CoversAndTouches) {
    const std::vector<TimeRange> merged = {span(1, 4), span(5, 6)};
    EXPECT_TRUE(covers(merged, span(1, 4)));
    EXPECT_FALSE(covers(merged, span(1, 5)));
    EXPECT_FALSE(covers(merged, span(3, 6)));
    EXPECT_FALSE(covers(merged, span(6, 7)));
    EXPECT_TRUE(touches(merged, span(3, 5)));
    EXPECT_FALSE(touches(merged, span(4, 5)));
    EXPECT_FALSE(touches(merged, span(6, 9)));
    EXPECT_FALSE(touches({}, span(0, 9)));
}

TEST(Ranges, Subtract) {
    const std::vector<TimeRange> one = {span(1, 4), span(5, 9)}, other = {span(0, 2), span(3, 6), span(8, 20)};
    EXPECT_EQ(flat(subtract(one, other)), (Hours{2, 3, 6, 8}));
    EXPECT_EQ(flat(subtract(one, {})), (Hours{1, 4, 5, 9}));
}

TEST(PeriodsJson, AllForms) {
    const auto periods =
        parse_periods(R"([{"opens":"08:00","closes":"12:00:30"},{"open":"13:00","close":"24:00"},["22:00","06:00"]])");
    ASSERT_EQ(periods.size(), 3U);
    EXPECT_EQ(periods[0].closes_us, 12 * hour + 30 * second_us);
    EXPECT_EQ(periods[1].closes_us, 24 * hour);
    EXPECT_EQ(periods[2].opens_us, 22 * hour);
    EXPECT_TRUE(parse_periods("[]").empty());
}

TEST(PeriodsJson, RefusesEverythingElse) {
    for (const char *text :
         {"", "{}", "null", "[1]", "[null]", R"([["08:00"]])", R"([["08:00","09:00","10:00"]])", R"([["8","9"]])",
          R"([["24:00","25:00"]])", R"([["08:00","24:01"]])", R"([["08:60","09:00"]])", R"([["-8:00","09:00"]])",
          R"([{"opens":"08:00"}])", R"([["0８:00","09:00"]])", "[[[]]]", R"([[8,9]])"})
        EXPECT_THROW(parse_periods(text), Error) << text;
    std::string many = "[";
    for (int i = 0; i < 49; ++i) many += R"(["08:00","09:00"],)";
    many.back() = ']';
    EXPECT_THROW(parse_periods(many), Error);
}
