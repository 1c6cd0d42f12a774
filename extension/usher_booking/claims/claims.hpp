// What bookings and appointments take: places of a location, and the time of people.
#pragma once
#include "common/zone.hpp"
#include "usher_booking/booking_kit.hpp"

namespace usher::booking {

/// A booking, or an appointment of one, as far as claims are concerned.
struct Holder {
    Uuid id;
    Uuid booking;
    Uuid location;
    Uuid customer;
    Uuid service; // of bookings only
    std::optional<Uuid> staff;
    TimeRange visible;
    std::int64_t buffer_before = 0, buffer_after = 0;
    bool customer_exclusive = false;
    bool occupies = false;
    bool waits = false; // to be confirmed, without taking anything until then
    bool overbooked = false;
    bool by_appointment = false; // of bookings only: its appointments claim, not the booking
    std::optional<int> daily_limit;
    std::optional<Instant> held_until; // of bookings only: pending until then

    [[nodiscard]] TimeRange claimed() const { return {visible.from - buffer_before, visible.until + buffer_after}; }
};

/// Updates the guard rows of these in the one order that everybody keeps: location, staff, customer; inside a kind by
/// id and day. Competing writers queue there instead of deadlocking. Of holders as they were before, whose claims are
/// given up, people only: nobody waits for a place that somebody leaves.
void take_guards(const Schema &schema, const std::vector<Holder> &holders, const std::vector<Holder> &before = {});

/// The same of one location only, for whoever is going to choose somebody or to make several bookings there.
void take_location_guards(const Schema &schema, const Uuid &location, const std::vector<TimeRange> &ranges);

/// Throws UB002 when the others leave no place of the location during this one.
void check_capacity(const Schema &schema, const Holder &holder);

/// Throws UB001, UB002 or UB010 when what a waiting one asks for is somebody else's already. Nothing is taken: who asks
/// for the same later is let in as well, and confirmation decides.
void check_waiting(const Schema &schema, const Holder &holder);

/// Writes the claims. Throws UB001 slot_taken; UB002 capacity_full and UB010 daily_limit when `check_limits`, which a
/// dump that is being loaded goes without, bookings that are not there yet included.
void place_claims(const Schema &schema, const std::vector<Holder> &holders, bool check_limits);

} // namespace usher::booking
