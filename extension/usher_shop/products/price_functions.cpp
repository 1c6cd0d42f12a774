#include "common/currency.hpp"
#include "common/money.hpp"
#include "usher_shop/shop_kit.hpp"

/// _is_price(amount_minor bigint, currency text): asked by a CHECK
USHER_FUNCTION(usher_shop_is_price) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::int64_t amount = args.int8(0);
    return BoolGetDatum(amount >= 0 && amount <= money::largest_amount && money::exponent_of(args.text(1)).has_value());
}

/// _require_price(amount_minor bigint, currency text): the same with an error that says what is wrong
USHER_FUNCTION(usher_shop_require_price) {
    using namespace usher;
    const pg::Args args(fcinfo);
    kit::require_currency(args.text(1));
    kit::require_price(args.int8(0), "amount_minor");
    return pg::null_result(fcinfo);
}
