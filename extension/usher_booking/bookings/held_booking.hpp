// Bookings with a hold: one that is decided while its hold may be running out (confirmed, or paid for), and those whose
// hold is over.
#pragma once
#include "usher_booking/booking_kit.hpp"

namespace usher::booking {

/// Takes the guards of a booking and of its appointments, and then locks its row, until the end of the transaction.
/// False when there is no such booking. Whoever wants the place of a hold that is over waits for the guards and finds
/// it decided, instead of finding its row in the hands of somebody who has not decided yet.
bool lock_with_guards(const Schema &schema, const Uuid &booking);

/// Cancels pending bookings whose hold is over, at most so many. Those that somebody is working on are left to them.
std::uint64_t expire_holds(const Schema &schema, int most);

} // namespace usher::booking
