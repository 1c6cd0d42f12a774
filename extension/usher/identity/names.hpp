// E-mail addresses and usernames: which texts are one, in which form they are stored, and what tells two that are the
// same. The one place for it: whoever looks up, stores or compares a name asks here (in SQL: usher.normalize_name() and
// usher._name_key()).
//
// Usernames and what stands before the @ follow PRECIS (RFC 8264, RFC 8265: UsernameCasePreserved to store,
// UsernameCaseMapped to compare); domains follow UTS 46, the mapping of IDNA 2008. Unicode does not change what it says
// of characters that it has, and those that ICU does not know are refused: a stored name stays what it is.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace usher {

/// The address as it is stored; nullopt for what is none. One @; before it an identifier in Unicode's form C, letters
/// as they were given, at most 64 bytes; behind it a host name in ASCII, xn-- where it was not. At most 254 bytes.
/// Addresses with quotes or of literal hosts are none: no provider hands them out.
std::optional<std::string> normalize_email(std::string_view text);

/// The username as it is stored; nullopt for what is none. An identifier in Unicode's form C of 1 to 50 characters,
/// letters as they were given, without the @ by which login tells it from an address.
std::optional<std::string> normalize_username(std::string_view text);

/// Whichever the text is, by the @.
std::optional<std::string> normalize_name(std::string_view text);

/// Equal for names that are the same, in capitals or not. nullopt for what is neither address nor username.
std::optional<std::string> name_key(std::string_view text);

/// Does the text hold an @, of any width, so that only an address can be meant?
bool is_meant_as_email(std::string_view text) noexcept;

} // namespace usher
