// What usher_booking tells core about itself, where the library knows it.
#include "usher_booking/booking_errors.hpp"
#include "kit/registration.hpp"

/// _booking_error_codes()
USHER_FUNCTION(usher_booking_error_codes) { return usher::kit::error_codes(fcinfo, usher::booking::error_codes); }
