// What is kept of a processor's answer: a list of members that are known to be harmless and useful. Names, addresses,
// client secrets, raw numbers and whatever else a processor may add are left out.
#pragma once
#include <string>
#include <string_view>

namespace usher::payment {

/// A JSON object with the known members only, objects in it likewise. Empty when the text is no JSON object, or nothing
/// of it is known. Long strings are cut, and those that look like a card number are left out.
std::string filter_response(std::string_view json);

} // namespace usher::payment
