#include "usher/identity/account.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>

namespace usher {

namespace {
bool has_space_or_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return is_space(c) || is_control(c); });
}

/// U+00A0, U+2000 to U+200F, U+2028, U+2029, U+202A to U+202E, U+3000, U+FEFF: spaces and marks that nobody sees.
bool has_invisible(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto at = [&](std::size_t k) {
            return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U;
        };
        if (at(0) == 0xc2 && (at(1) == 0xa0 || (at(1) >= 0x80 && at(1) < 0xa0))) return true;
        if (at(0) == 0xe2 && at(1) == 0x80 && (at(2) <= 0x8f || (at(2) >= 0xa8 && at(2) <= 0xaf))) return true;
        if (at(0) == 0xe3 && at(1) == 0x80 && at(2) == 0x80) return true;
        if (at(0) == 0xef && at(1) == 0xbb && at(2) == 0xbf) return true;
    }
    return false;
}

bool is_valid_host(std::string_view host) {
    std::size_t start = 0;
    for (;;) {
        const std::size_t dot = std::min(host.find('.', start), host.size());
        const std::string_view label = host.substr(start, dot - start);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        const bool good = std::all_of(label.begin(), label.end(), [](char c) {
            return is_alphanumeric(c) || c == '-' || static_cast<unsigned char>(c) >= 0x80;
        });
        if (!good) return false;
        if (dot == host.size()) return true;
        start = dot + 1;
    }
}
} // namespace

bool is_valid_email(std::string_view email) noexcept {
    if (email.size() > 254 || has_space_or_control(email) || has_invisible(email) || !is_valid_utf8(email))
        return false;
    const std::size_t at = email.find('@');
    if (at == std::string_view::npos || at == 0 || at > 64 || email.find('@', at + 1) != std::string_view::npos)
        return false;
    const std::string_view local = email.substr(0, at);
    if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string_view::npos) return false;
    if (local.find_first_of("\"(),:;<>[\\]") != std::string_view::npos) return false;
    return is_valid_host(email.substr(at + 1));
}

bool is_valid_username(std::string_view username) noexcept {
    return !username.empty() && username.find('@') == std::string_view::npos && !has_space_or_control(username) &&
           !has_invisible(username) && is_valid_utf8(username) && utf8_length(username) <= 50;
}

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

std::string recordable_name(std::string_view name) { return is_valid_email(name) ? std::string(name) : "?"; }

} // namespace usher
