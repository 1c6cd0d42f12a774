#include "core/slots.hpp"
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace usher;
using namespace usher::slots;

namespace {
constexpr std::int64_t minute = 60 * second_us, hour = 60 * minute;
Uuid person(std::uint8_t number) {
    Uuid id;
    id.bytes[15] = number;
    return id;
}
TimeRange span(std::int64_t from_minute, std::int64_t until_minute) {
    return {from_minute * minute, until_minute * minute};
}
Search search() {
    Search s;
    s.periods = {span(480, 720)}; // 08:00 to 12:00
    s.window = span(0, 1440);
    s.last_start = INT64_MAX;
    s.terms = {60 * minute, 30 * minute, 0, 0};
    s.places = 2;
    s.max_slots = 1000;
    return s;
}
std::vector<std::int64_t> starts(const std::vector<Slot> &found) {
    std::vector<std::int64_t> out;
    out.reserve(found.size());
    for (const Slot &each : found) out.push_back(each.start / minute);
    return out;
}
using Minutes = std::vector<std::int64_t>;
} // namespace

TEST(Occupancy, PeakIsNotTheNumberOfBookings) {
    const std::vector<TimeRange> bookings = {span(0, 60), span(60, 120), span(30, 40)};
    const Occupancy occupancy(bookings);
    EXPECT_EQ(occupancy.peak(span(0, 120)), 2);
    EXPECT_EQ(occupancy.peak(span(40, 120)), 1);
    EXPECT_EQ(occupancy.peak(span(120, 200)), 0);
    EXPECT_EQ(occupancy.peak(span(-10, 0)), 0);
    EXPECT_EQ(Occupancy({}).peak(span(0, 1)), 0);
}

TEST(Occupancy, AgreesWithCountingMinuteByMinute) {
    std::mt19937 random(1); // always the same
    for (int round = 0; round < 50; ++round) {
        std::vector<TimeRange> bookings;
        for (int i = 0; i < 30; ++i) {
            const auto from = static_cast<std::int64_t>(random() % 200);
            bookings.push_back(span(from, from + 1 + static_cast<std::int64_t>(random() % 60)));
        }
        const Occupancy occupancy(bookings);
        const auto from = static_cast<std::int64_t>(random() % 200),
                   until = from + 1 + static_cast<std::int64_t>(random() % 60);
        int most = 0;
        for (std::int64_t at = from; at < until; ++at)
            most = std::max(
                most, static_cast<int>(std::count_if(bookings.begin(), bookings.end(), [&](const TimeRange &each) {
                    return each.from <= at * minute && at * minute < each.until;
                })));
        EXPECT_EQ(occupancy.peak(span(from, until)), most);
    }
}

TEST(FindSlots, WalksTheGridOfThePeriod) {
    Search s = search();
    s.needs_staff = false;
    EXPECT_EQ(starts(find(s, Occupancy({}), {})), (Minutes{480, 510, 540, 570, 600, 630, 660}));
    s.window = span(500, 650); // slots lie in the window completely
    EXPECT_EQ(starts(find(s, Occupancy({}), {})), (Minutes{510, 540, 570}));
    s.last_start = 540 * minute;
    EXPECT_EQ(starts(find(s, Occupancy({}), {})), (Minutes{510}));
    s = search();
    s.needs_staff = false;
    s.max_slots = 2;
    EXPECT_EQ(find(s, Occupancy({}), {}).size(), 2U);
}

TEST(FindSlots, SpansTouchingPeriodsAndStartsAGridInEach) {
    Search s = search();
    s.needs_staff = false;
    s.periods = {span(480, 570), span(570, 640)};
    EXPECT_EQ(starts(find(s, Occupancy({}), {})), (Minutes{480, 510, 540, 570}));
}

TEST(FindSlots, CountsFreePlaces) {
    Search s = search();
    s.needs_staff = false;
    const std::vector<TimeRange> bookings = {span(480, 540), span(480, 540), span(600, 660)};
    const auto found = find(s, Occupancy(bookings), {});
    EXPECT_EQ(starts(found), (Minutes{540, 570, 600, 630, 660}));
    EXPECT_EQ(found[0].free_places, 2);
    EXPECT_EQ(found[1].free_places, 1);
}

TEST(FindSlots, StaffAtWorkAndNotBusyBuffersIncluded) {
    Search s = search();
    s.terms.buffer_after = 15 * minute;
    const std::vector<Staff> staff = {{person(1), {span(480, 600)}, {span(540, 555)}},
                                      {person(2), {span(540, 720)}, {}}};
    const auto found = find(s, Occupancy({}), staff);
    EXPECT_EQ(starts(found), (Minutes{540, 570, 600, 630, 660}));
    EXPECT_EQ(found[0].staff, (std::vector<Uuid>{person(2)}));
    s.needs_staff = false;
    EXPECT_EQ(starts(find(s, Occupancy({}), staff)).front(), 480); // nobody free, nobody needed
}

TEST(Grid, BeginsWithEachPeriod) {
    const std::vector<TimeRange> periods = {span(480, 570), span(575, 640)};
    EXPECT_TRUE(on_grid(periods, 510 * minute, 30 * minute));
    EXPECT_TRUE(on_grid(periods, 605 * minute, 30 * minute));
    EXPECT_FALSE(on_grid(periods, 600 * minute, 30 * minute));
    EXPECT_FALSE(on_grid(periods, 570 * minute, 30 * minute)); // closed
}
