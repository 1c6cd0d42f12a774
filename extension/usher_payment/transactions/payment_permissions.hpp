// What is answered when somebody asks for a payment that they may not see, or have seen otherwise.
#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

[[noreturn]] void refuse_transaction(const Uuid &transaction); // US005, the same whether it is unknown or hidden

/// Throws US003 when the caller has seen another version.
void check_version(std::int32_t actual, const std::optional<std::int32_t> &expected, const Uuid &transaction);

} // namespace usher::payment
