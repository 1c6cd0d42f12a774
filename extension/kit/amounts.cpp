#include "kit/amounts.hpp"
#include "common/currency.hpp"
#include "common/error.hpp"
#include "common/json_object.hpp"
#include "common/money.hpp"
#include "common/utf8.hpp"

namespace usher::kit {

int require_currency(std::string_view currency) {
    const std::optional<int> exponent = money::exponent_of(currency);
    if (!exponent)
        throw Error(errc::invalid_argument, json::quote(clip(currency, 16)) + " is not a currency of ISO 4217",
                    R"({"argument":"currency"})");
    return *exponent;
}

void require_price(std::int64_t amount_minor, std::string_view argument) {
    if (amount_minor >= 0 && amount_minor <= money::largest_amount) return;
    throw Error(errc::invalid_argument,
                std::string(argument) + " must be between 0 and " + std::to_string(money::largest_amount),
                json::Object().add("argument", argument).add("amount_minor", amount_minor).text());
}

void require_payable(std::int64_t amount_minor, const char *argument) {
    if (money::is_payable(amount_minor)) return;
    throw Error(errc::invalid_argument,
                std::string(argument) + " must be between 1 and " + std::to_string(money::largest_amount),
                json::Object().add("argument", argument).add("amount_minor", amount_minor).text());
}

} // namespace usher::kit
