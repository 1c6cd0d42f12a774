#include "common/currency.hpp"
#include "common/json_object.hpp"
#include "common/money.hpp"
#include "kit/amounts.hpp"
#include "kit/server.hpp"

using namespace usher;
using kit::require_currency;

/// _is_payable(amount_minor bigint)
USHER_FUNCTION(usher_payment_is_payable) { return BoolGetDatum(money::is_payable(PG_GETARG_INT64(0))); }

/// _currency_exponent(currency text)
USHER_FUNCTION(usher_payment_currency_exponent) {
    const pg::Args args(fcinfo);
    const std::optional<int> exponent = money::exponent_of(args.text(0));
    return exponent ? Int16GetDatum(static_cast<std::int16_t>(*exponent)) : pg::null_result(fcinfo);
}

/// _require_currency(currency text)
USHER_FUNCTION(usher_payment_require_currency) {
    const pg::Args args(fcinfo);
    return Int16GetDatum(static_cast<std::int16_t>(require_currency(args.text(0))));
}

/// list_currencies()
USHER_FUNCTION(usher_payment_list_currencies) {
    pg::RowSet rows(fcinfo);
    for (const money::Currency &each : money::currencies())
        rows.add({pg::text(each.code), pg::datum(INT2OID, Int16GetDatum(static_cast<std::int16_t>(each.exponent)))});
    return rows.finish();
}

/// to_minor_units(amount text, currency text)
USHER_FUNCTION(usher_payment_to_minor_units) {
    const pg::Args args(fcinfo);
    const int exponent = require_currency(args.text(1));
    const money::Parsed parsed = money::parse(args.text(0), exponent);
    const auto refuse = [](const std::string &message) {
        throw Error(errc::invalid_argument, message, R"({"argument":"amount"})");
    };
    switch (parsed.problem) {
    case money::Problem::malformed: refuse("amount must be a decimal number such as 12.50"); break;
    case money::Problem::too_precise:
        refuse("amount has more decimal places than the " + std::to_string(exponent) + " of its currency");
        break;
    case money::Problem::too_large: refuse("amount is too large"); break;
    case money::Problem::none: break;
    }
    return pg::result(pg::int8(parsed.minor));
}

/// format_amount(amount_minor bigint, currency text)
USHER_FUNCTION(usher_payment_format_amount) {
    const pg::Args args(fcinfo);
    const std::string formatted = money::format(args.int8(0), require_currency(args.text(1)));
    return pg::result(pg::text(formatted));
}
