// Finding what looks like a card number: 13 to 19 digits that pass the Luhn test (ISO/IEC 7812-1), with or without
// separators between them.
#pragma once
#include <string_view>

namespace usher::payment {

/// Does the text hold one? Groups of digits belong together when one or two characters of space, hyphen, point, slash
/// or underscore stand between them (no-break spaces and typographic hyphens too), and full-width digits are digits.
/// Every run of whole groups is tried, so that a number before or behind does not hide it. A uuid in its canonical form
/// is none.
bool has_card_number(std::string_view text) noexcept;

} // namespace usher::payment
