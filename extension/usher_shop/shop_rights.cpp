#include "usher_shop/shop_kit.hpp"

/// _shop_may(permission text, location_id uuid)
USHER_FUNCTION(usher_shop_may) {
    const usher::pg::Args args(fcinfo);
    return BoolGetDatum(usher::kit::may(args.text(0), args.optional_uuid(1)));
}

/// _shop_require(permission text, location_id uuid)
USHER_FUNCTION(usher_shop_require) {
    const usher::pg::Args args(fcinfo);
    usher::kit::require(args.text(0), args.optional_uuid(1));
    return usher::pg::null_result(fcinfo);
}

/// _shop_reads_all(permission text): of somebody who need not be anybody
USHER_FUNCTION(usher_shop_reads_all) {
    const usher::pg::Args args(fcinfo);
    const std::optional<usher::Uuid> user = usher::kit::current_user();
    return BoolGetDatum(user ? usher::kit::has_permission(*user, args.text(0)) : usher::kit::is_trusted());
}
