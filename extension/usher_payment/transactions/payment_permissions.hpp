// Who may do what with payments: permissions come from core, and may be given for one location.
#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

/// The user who acts for themselves. Not an API key: it may do what it holds a permission for, and one's own payments
/// need none.
std::optional<Uuid> acting_person(const Schema &schema);

/// Does the current identity have the permission, everywhere or at the location? Throws 42501 for a database role that
/// is neither trusted nor acts for somebody.
bool may(std::string_view permission, const std::optional<Uuid> &location);

/// Throws 42501 unless may() says yes.
void require(std::string_view permission, const std::optional<Uuid> &location);

[[noreturn]] void refuse_transaction(const Uuid &transaction); // US005, the same whether it is unknown or hidden

/// Throws US003 when the caller has seen another version.
void check_version(std::int32_t actual, const std::optional<std::int32_t> &expected, const Uuid &transaction);

} // namespace usher::payment
