#include "usher_booking/slots/slots.hpp"
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
    s.terms = {.duration = 60 * minute, .step = 30 * minute};
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
Staff somebody(std::uint8_t number) {
    Staff staff;
    staff.id = person(number);
    return staff;
}
/// From 10:00 to 11:00, with a quarter of an hour before it and half an hour after it.
Duty duty() {
    return duty_at(600 * minute, {.duration = 60 * minute, .buffer_before = 15 * minute, .buffer_after = 30 * minute},
                   person(99));
}
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
    s.starts = {510 * minute, 540 * minute}; // both ends included
    EXPECT_EQ(starts(find(s, Occupancy({}), {})), (Minutes{510, 540}));
    s.starts = {511 * minute, 539 * minute};
    EXPECT_TRUE(find(s, Occupancy({}), {}).empty());
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
    Staff early = somebody(1), late = somebody(2);
    early.at_work = {span(480, 600)};
    early.busy = {span(540, 555)};
    late.at_work = {span(540, 720)};
    const std::vector<Staff> staff = {early, late};
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

TEST(Hold, IsOverAtItsEnd) {
    EXPECT_FALSE((Hold{true, 100}).is_over(99));
    EXPECT_TRUE((Hold{true, 100}).is_over(100));
    EXPECT_FALSE((Hold{true, std::nullopt}).is_over(100)); // until it is decided
    EXPECT_FALSE((Hold{false, 100}).is_over(100));         // it has been
}

TEST(Starts, CustomersKeepNoticeAndHorizonManagersAQuarterOfAnHour) {
    const Terms terms{.min_notice = 2 * hour, .horizon = 48 * hour};
    const Starts customers = allowed_starts(terms, 10 * hour, Asker::customer);
    EXPECT_EQ(customers.first, 12 * hour);
    EXPECT_EQ(customers.last, 58 * hour);
    const Starts managers = allowed_starts(terms, 10 * hour, Asker::manager);
    EXPECT_EQ(managers.first, 10 * hour - 15 * minute);
    EXPECT_EQ(managers.last, 10 * hour + 1095 * day_us);
}

TEST(Places, OneMoreThanThePeakMustFit) {
    const std::vector<TimeRange> bookings = {span(0, 60), span(60, 120)};
    EXPECT_EQ(free_places(1, Occupancy(bookings), span(30, 90)), 0);
    EXPECT_EQ(free_places(2, Occupancy(bookings), span(30, 90)), 1);
    EXPECT_EQ(free_places(1, Occupancy(bookings), span(120, 180)), 1);
}

TEST(StaffRules, EachKeepsFromTheDuty) {
    EXPECT_EQ(first_broken(somebody(1), duty()), std::nullopt);
    Staff staff = somebody(1);
    staff.busy = {span(660, 690)}; // the buffer after it
    EXPECT_EQ(first_broken(staff, duty()), StaffRule::free);
    staff.at_work = {span(600, 659)};
    EXPECT_EQ(first_broken(staff, duty()), StaffRule::hours);
    staff.away = {span(580, 586)}; // the buffer before it
    EXPECT_EQ(first_broken(staff, duty()), StaffRule::time_off);
    staff.skills = {person(98)};
    EXPECT_EQ(first_broken(staff, duty()), StaffRule::skilled);
    staff.is_assigned = false;
    EXPECT_EQ(first_broken(staff, duty()), StaffRule::assigned);
    staff.is_active = false;
    EXPECT_EQ(first_broken(staff, duty()), StaffRule::active_user);
}

TEST(StaffRules, HalfOpenRangesMayTouch) {
    Staff staff = somebody(1);
    staff.skills = {person(98), person(99)};
    staff.at_work = {span(600, 660)}; // the visible time only
    staff.away = {span(500, 585)};
    staff.busy = {span(690, 720)};
    EXPECT_EQ(first_broken(staff, duty()), std::nullopt);
}

TEST(StaffChoice, LeastBookedThenLongestIdleThenById) {
    std::vector<Staff> staff = {somebody(5), somebody(4), somebody(3), somebody(2), somebody(1), somebody(0)};
    staff[0].claims = {span(0, 60), span(100, 160)};
    staff[1].claims = {span(0, 100)};
    staff[2].claims = {span(0, 60)};
    staff[3].claims = {span(800, 900)};                                     // later: no idle time before the start
    staff[4].claims = {span(-3000, -2900), span(100, 590), span(700, 720)}; // the first is not of this day
    staff[5].is_assigned = false;
    std::vector<int> order;
    for (const Staff &each : choice(staff, duty())) order.push_back(each.id.bytes[15]);
    EXPECT_EQ(order, (std::vector<int>{2, 3, 4, 5, 1}));
}

TEST(Customers, AreInOnePlaceAndKeepTheLimitOfTheDay) {
    const std::vector<TimeRange> busy = {span(500, 600)};
    EXPECT_TRUE(is_free(busy, span(600, 660)));
    EXPECT_FALSE(is_free(busy, span(599, 660)));
    EXPECT_TRUE(is_within_limit(std::nullopt, 1000));
    EXPECT_TRUE(is_within_limit(2, 1));
    EXPECT_FALSE(is_within_limit(2, 2));
}
