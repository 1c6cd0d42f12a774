// Where a payment belongs, and what is answered when somebody asks for one that they may not see, or have seen
// otherwise.
#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

[[noreturn]] void refuse_transaction(const Uuid &transaction); // US005, the same whether it is unknown or hidden

/// Where a payment belongs: where what it is for is sold, if somebody vouches for that (usher.purchase_of()), else
/// where it was made. Who may act there may act on it.
std::optional<Uuid> place_of(const Schema &schema, const std::optional<Uuid> &location,
                             const std::optional<std::string_view> &reference_type,
                             const std::optional<Uuid> &reference);

/// Throws US003 when the caller has seen another version.
void check_version(std::int32_t actual, const std::optional<std::int32_t> &expected, const Uuid &transaction);

} // namespace usher::payment
