// Customers and staff: soft references to users, held until the end of the transaction.
#pragma once
#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/slots/rules.hpp"

namespace usher::booking {

/// Makes sure that the customer, and the user behind it, exists and stays active until commit; makes the first profile
/// of a user at first use. Throws US005.
std::optional<Uuid> lock_customer(const Schema &schema, const Uuid &customer);

/// Makes sure that the staff member is an active user, works at the location in a role they still have, may give the
/// service, and is at work then. Throws UB005, and UB003 for the hours.
void lock_staff(const Schema &schema, const Location &location, const Uuid &staff, const slots::Duty &duty);

} // namespace usher::booking
