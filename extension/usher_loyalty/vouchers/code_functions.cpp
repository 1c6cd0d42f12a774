#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/rules/rule_expression.hpp"
#include "usher_loyalty/vouchers/voucher_codes.hpp"

/// _new_code()
USHER_FUNCTION(usher_loyalty_new_code) { return usher::pg::result(usher::pg::text(usher::loyalty::new_code())); }

/// _code_hash(code text)
USHER_FUNCTION(usher_loyalty_code_hash) {
    const usher::pg::Args args(fcinfo);
    const std::string hash = usher::loyalty::code_hash(args.text(0));
    if (hash.empty()) return usher::pg::null_result(fcinfo);
    return usher::pg::result(usher::pg::bytea(hash));
}

/// _check_condition(condition text): of segments and rewards
USHER_FUNCTION(usher_loyalty_check_condition) {
    const usher::pg::Args args(fcinfo);
    (void)usher::loyalty::parse_expression(args.text(0), "condition", false);
    return BoolGetDatum(true);
}
