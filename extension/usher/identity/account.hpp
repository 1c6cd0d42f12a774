// What the fields of an account may look like. Pure text rules, the same for registration, import and changes of
// profile.
#pragma once
#include "common/text.hpp"
#include <string>
#include <string_view>

namespace usher {

/// An address that mail can be sent to: one @ with something on both sides, a host name with labels of 1 to 63
/// characters, no white space or control characters, at most 254 bytes (RFC 5321) with at most 64 before the @.
/// Characters outside ASCII are allowed (RFC 6531), quoted local parts and address literals are not: no provider hands
/// them out.
bool is_valid_email(std::string_view email) noexcept;

/// 1 to 50 characters, no white space, no control characters and no @, by which login tells it from an e-mail address.
bool is_valid_username(std::string_view username) noexcept;

/// At most 100 characters, none of them a control character; may be empty.
bool is_valid_name(std::string_view name) noexcept;

/// Digits with the usual marks between them, at most 20 characters, + in front allowed.
bool is_valid_phone(std::string_view phone) noexcept;

/// What login_attempts may keep of a name that belongs to nobody: the name when it is shaped like an e-mail address,
/// else "?", because people type passwords into that field.
std::string recordable_name(std::string_view name);

} // namespace usher
