// What usher_shop tells core about itself, where the library knows it.
#include "usher_shop/shop_errors.hpp"
#include "kit/registration.hpp"

/// _shop_error_codes()
USHER_FUNCTION(usher_shop_error_codes) { return usher::kit::error_codes(fcinfo, usher::shop::error_codes); }
