// Who may do what where: permissions come from core, where they count comes from location_staff.
#pragma once
#include "usher_booking/booking_kit.hpp"

namespace usher::booking {

/// Has the current actor the permission, and works at the location (or may act at any)? Throws 42501 for an untrusted
/// database role without identity.
bool may(const Schema &schema, std::string_view permission, const Uuid &location);

/// Is it the current identity, or a profile of it?
bool is_own_customer(const Schema &schema, const Uuid &customer);

/// Does the actor book as a manager of the location? Throws 42501 for whoever may not book for this customer at all.
bool books_for_others(const Schema &schema, const Uuid &customer, const Uuid &location);

} // namespace usher::booking
