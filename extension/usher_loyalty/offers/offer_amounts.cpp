// Amounts and currencies in the definitions of offers and tiers.
#include "kit/amounts.hpp"
#include "usher_loyalty/loyalty_kit.hpp"

/// _require_amount(amount_minor bigint, currency text, argument text)
USHER_FUNCTION(usher_loyalty_require_amount) {
    using namespace usher;
    const pg::Args args(fcinfo);
    if (!args.is_null(1)) kit::require_currency(args.text(1));
    if (!args.is_null(0)) kit::require_price(args.int8(0), args.text(2));
    return pg::null_result(fcinfo);
}
