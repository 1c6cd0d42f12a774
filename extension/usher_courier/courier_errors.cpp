// What usher_courier tells core about itself, where the library knows it.
#include "usher_courier/courier_errors.hpp"
#include "kit/registration.hpp"

/// _courier_error_codes()
USHER_FUNCTION(usher_courier_error_codes) { return usher::kit::error_codes(fcinfo, usher::courier::error_codes); }
