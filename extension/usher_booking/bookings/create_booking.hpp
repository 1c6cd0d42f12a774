// Making bookings: what is checked before the row is written, and who is chosen when nobody is named. What must hold
// for every writer is in the triggers (booking_trigger.cpp, claim_trigger.cpp).
#pragma once
#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/slots/rules.hpp"

namespace usher::booking {

/// What the rules of making a booking say about its service.
struct ServiceTerms {
    Uuid id;
    slots::Terms terms;
    bool is_active = false;
    bool auto_confirm = false;
    bool needs_staff = false;
    bool has_open_location = false; // the location that was asked for is active
    pg::Rows rows;                  // where this comes from
};

struct NewBooking {
    Uuid id, customer, location;
    Instant start = 0;
    std::optional<Uuid> staff;
    bool chooses_staff = true; // when nobody is named
    pg::Param vehicle_info = pg::null(JSONBOID);
    std::optional<std::string_view> instructions;
    bool is_overbooked = false;
    std::optional<Uuid> series;
};

/// Notice, horizon and slot grid of a start (UB004, UB008); opening hours are the business of the trigger.
void check_start(const Schema &schema, const ServiceTerms &service, const Uuid &location, Instant start,
                 slots::Asker asker);

/// Inserts the booking, with somebody chosen when nobody is named and the service needs somebody, and confirms it where
/// the service does so by itself.
void make_booking(const Schema &schema, const NewBooking &booking, const ServiceTerms &service);

} // namespace usher::booking
