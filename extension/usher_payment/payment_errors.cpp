// What usher_payment tells core about itself, where the library knows it.
#include "usher_payment/payment_errors.hpp"
#include "kit/registration.hpp"

/// _payment_error_codes()
USHER_FUNCTION(usher_payment_error_codes) { return usher::kit::error_codes(fcinfo, usher::payment::error_codes); }
