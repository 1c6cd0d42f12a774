// What usher_loyalty tells core about itself, where the library knows it.
#include "usher_loyalty/loyalty_errors.hpp"
#include "kit/registration.hpp"

/// _loyalty_error_codes()
USHER_FUNCTION(usher_loyalty_error_codes) { return usher::kit::error_codes(fcinfo, usher::loyalty::error_codes); }
