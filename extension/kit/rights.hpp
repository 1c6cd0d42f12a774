// Who may do what: permissions come from core, and may be given for one location.
#pragma once
#include "kit/schema.hpp"

namespace usher::kit {

/// The user who acts for themselves. Not an API key: it may do what it holds a permission for, and what one may do with
/// one's own needs none.
std::optional<Uuid> acting_person(const Schema &schema);

/// Does the current identity have the permission, everywhere or at the location? Throws 42501 for a database role that
/// is neither trusted nor acts for somebody.
bool may(std::string_view permission, const std::optional<Uuid> &location);

/// Throws 42501 unless may() says yes.
void require(std::string_view permission, const std::optional<Uuid> &location);

} // namespace usher::kit
