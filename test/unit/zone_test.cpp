#include "common/zone.hpp"
#include <gtest/gtest.h>

using namespace usher;

namespace {
constexpr std::int64_t hour = 3600 * second_us;
constexpr LocalDate epoch_2026 = 20'454; // 2026-01-01

/// UTC+1, an hour more from day 10 01:00 UTC, an hour less from day 20 01:00 UTC, and a day skipped at day 30.
Zone zone() {
    return {3600, {{10 * day_us + hour, 7200}, {20 * day_us + hour, 3600}, {30 * day_us - hour, 3600 + 86'400}}};
}
LocalTime wall(int day, int hours, int minutes = 0) { return day * day_us + hours * hour + minutes * 60LL * second_us; }
} // namespace

TEST(Zone, OffsetHoldsFromTheChangeOn) {
    EXPECT_EQ(zone().offset_at(10 * day_us + hour - 1), 3600);
    EXPECT_EQ(zone().offset_at(10 * day_us + hour), 7200);
    EXPECT_EQ(zone().offset_at(INT32_MIN * second_us), 3600);
}

TEST(Zone, OrdinaryWallTime) {
    EXPECT_EQ(zone().to_instant(wall(5, 12)), 5 * day_us + 11 * hour);
    EXPECT_EQ(zone().to_instant(wall(15, 12), Occurrence::last), 15 * day_us + 10 * hour);
}

TEST(Zone, SkippedWallTimeIsTheEndOfTheGap) {
    for (const Occurrence which : {Occurrence::first, Occurrence::last}) {
        EXPECT_EQ(zone().to_instant(wall(10, 2), which), 10 * day_us + hour);
        EXPECT_EQ(zone().to_instant(wall(10, 2, 30), which), 10 * day_us + hour);
        EXPECT_EQ(zone().to_instant(wall(10, 3), which), 10 * day_us + hour);
        EXPECT_EQ(zone().to_instant(wall(10, 3, 1), which), 10 * day_us + hour + 60 * second_us);
    }
}

TEST(Zone, RepeatedWallTimeHasTwoInstants) {
    EXPECT_EQ(zone().to_instant(wall(20, 2, 30), Occurrence::first), 20 * day_us + hour / 2);
    EXPECT_EQ(zone().to_instant(wall(20, 2, 30), Occurrence::last), 20 * day_us + hour + hour / 2);
    EXPECT_EQ(zone().to_instant(wall(20, 3), Occurrence::first), 20 * day_us + 2 * hour);
    EXPECT_EQ(zone().to_instant(wall(20, 3), Occurrence::last), 20 * day_us + 2 * hour);
}

TEST(Zone, DaysHave23And25HoursOrNone) {
    EXPECT_EQ(zone().day(9).until - zone().day(9).from, day_us);
    EXPECT_EQ(zone().day(10).until - zone().day(10).from, 23 * hour);
    EXPECT_EQ(zone().day(20).until - zone().day(20).from, 25 * hour);
    EXPECT_EQ(zone().day(30).until - zone().day(30).from, 0); // like 2011-12-30 in Apia
}

TEST(Zone, EveryInstantComesBack) {
    const Zone z = zone();
    for (Instant at = 8 * day_us; at < 33 * day_us; at += hour / 2) {
        const LocalTime local = z.to_local(at);
        EXPECT_TRUE(z.to_instant(local, Occurrence::first) == at || z.to_instant(local, Occurrence::last) == at) << at;
    }
}

TEST(Zone, DatesBefore1970) {
    EXPECT_EQ(date_of(-1), -1);
    EXPECT_EQ(date_of(-day_us), -1);
    EXPECT_EQ(date_of(-day_us - 1), -2);
    EXPECT_EQ(weekday_of(0), 4);
    EXPECT_EQ(weekday_of(-1), 3);
    EXPECT_EQ(weekday_of(-5), 6);
    EXPECT_EQ(weekday_of(epoch_2026), 4);
}
