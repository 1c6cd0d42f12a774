// What the fields of an account may look like, beside its names (names.hpp). Pure text rules, the same for
// registration, import and changes of profile.
#pragma once
#include "common/text.hpp"
#include <string>
#include <string_view>

namespace usher {

/// At most 100 characters, none of them a control character; may be empty.
bool is_valid_name(std::string_view name) noexcept;

/// Digits with the usual marks between them, at most 20 characters, + in front allowed.
bool is_valid_phone(std::string_view phone) noexcept;

/// What login_attempts may keep of a name that belongs to nobody: the address when it is one, in the form in which
/// addresses are stored, else "?", because people type passwords into that field.
std::string recordable_name(std::string_view name);

} // namespace usher
