#include "usher/identity/account.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "usher/identity/names.hpp"
#include <algorithm>

namespace usher {

bool is_valid_name(std::string_view name) noexcept {
    return std::none_of(name.begin(), name.end(), is_control) && is_valid_utf8(name) && utf8_length(name) <= 100;
}

bool is_valid_phone(std::string_view phone) noexcept {
    if (phone.size() > 20) return false;
    if (!phone.empty() && phone.front() == '+') phone.remove_prefix(1);
    if (phone.empty() || !is_digit(phone.front())) return false;
    return std::all_of(phone.begin(), phone.end(), [](char c) {
        return is_digit(c) || std::string_view(" ()./-").find(c) != std::string_view::npos;
    });
}

std::string recordable_name(std::string_view name) { return normalize_email(name).value_or("?"); }

} // namespace usher
