#include "usher_courier/messages/mail_address.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>

namespace usher::courier {

namespace {
bool is_beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

bool is_atom(std::string_view text) {
    const auto is_fit = [](char c) {
        return is_alphanumeric(c) || is_beyond_ascii(c) ||
               std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), is_fit);
}

bool is_label(std::string_view text) {
    const auto is_fit = [](char c) { return is_alphanumeric(c) || is_beyond_ascii(c) || c == '-'; };
    return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
           std::all_of(text.begin(), text.end(), is_fit);
}

template <typename Predicate> bool all_between_points(std::string_view text, Predicate predicate) {
    for (;;) {
        const std::size_t point = text.find('.');
        if (!predicate(text.substr(0, point))) return false;
        if (point == std::string_view::npos) return true;
        text.remove_prefix(point + 1);
    }
}

/// C1 controls and separators of lines: as UTF-8 they are no control characters to those who look at bytes.
bool has_hidden_break(std::string_view text) {
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        const auto next = static_cast<unsigned char>(text[i + 1]);
        if (text[i] == '\xc2' && next < 0xa1) return true;
        if (text[i] == '\xe2' && next == 0x80 && i + 2 < text.size()) {
            const auto third = static_cast<unsigned char>(text[i + 2]);
            if (third >= 0xa8 && third <= 0xae) return true;
        }
    }
    return false;
}
} // namespace

bool is_mail_address(std::string_view text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos || text.size() > 254 || at > 64 || !is_valid_utf8(text)) return false;
    return !has_hidden_break(text) && all_between_points(text.substr(0, at), is_atom) &&
           all_between_points(text.substr(at + 1), is_label);
}

std::optional<Mailbox> parse_mailbox(std::string_view text) {
    text = trim(text);
    if (is_mail_address(text)) return Mailbox{{}, std::string(text)};
    const std::size_t open = text.rfind('<');
    if (open == std::string_view::npos || text.back() != '>' || text.size() > 400 || !is_valid_utf8(text))
        return std::nullopt;
    std::string_view name = trim(text.substr(0, open));
    const std::string_view address = text.substr(open + 1, text.size() - open - 2);
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
    const auto is_refused = [](char c) { return is_control(c) || c == '"' || c == '\\' || c == '<' || c == '>'; };
    if (!is_mail_address(address) || has_hidden_break(name) || std::any_of(name.begin(), name.end(), is_refused))
        return std::nullopt;
    return Mailbox{std::string(name), std::string(address)};
}

std::string_view domain_of(std::string_view address) { return address.substr(address.rfind('@') + 1); }

} // namespace usher::courier
