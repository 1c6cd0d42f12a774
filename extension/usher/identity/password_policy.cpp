// What a new password must not be. Length and guessability only: rules about kinds of characters make passwords worse.
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "usher/identity/common_passwords.hpp"
#include "usher/identity/password.hpp"

#include <algorithm>
#include <vector>

namespace usher {

namespace {

std::string lower_ascii(std::string_view text) {
    std::string out(text);
    for (char &c : out) c = to_lower(c);
    return out;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

std::vector<std::string_view> sorted_list() {
    std::vector<std::string_view> list(std::begin(common_passwords), std::end(common_passwords));
    std::sort(list.begin(), list.end());
    return list;
}

bool in_list(std::string_view lower) {
    // Made once and never destroyed: a backend that is terminated runs the destructors of statics without unwinding.
    static const auto &list = *new std::vector<std::string_view>(sorted_list());
    return std::binary_search(list.begin(), list.end(), lower);
}

/// The letter that a digit or sign usually stands for.
char plain_letter(char c) {
    switch (c) {
    case '0': return 'o';
    case '1':
    case '!': return 'i';
    case '3': return 'e';
    case '4':
    case '@': return 'a';
    case '5':
    case '$': return 's';
    case '7': return 't';
    default: return c;
    }
}

std::string plain_letters(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), plain_letter);
    return out;
}

/// Without the digits and signs at both ends.
std::string_view letters_only_ends(std::string_view text) {
    while (!text.empty() && !is_letter(text.front())) text.remove_prefix(1);
    while (!text.empty() && !is_letter(text.back())) text.remove_suffix(1);
    return text;
}

/// The shortest text that the password repeats, or the password itself.
std::string_view repeated_unit(std::string_view text) {
    for (std::size_t size = 1; size <= text.size() / 2; ++size) {
        if (text.size() % size != 0) continue;
        if (text.substr(size) == text.substr(0, text.size() - size)) return text.substr(0, size);
    }
    return text;
}

/// Characters at the start that follow each other in the alphabet, among the digits or on the keyboard, either way, or
/// repeat.
std::size_t run_length(std::string_view text) {
    static constexpr std::string_view orders[] = {"abcdefghijklmnopqrstuvwxyz",
                                                  "01234567890",
                                                  "qwertyuiop",
                                                  "qwertzuiop",
                                                  "azertyuiop",
                                                  "asdfghjkl",
                                                  "zxcvbnm",
                                                  "yxcvbnm",
                                                  "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p"};
    std::size_t best = 1;
    while (best < text.size() && text[best] == text[0]) ++best;
    for (const std::string_view order : orders) {
        for (std::size_t at = 0; at < order.size(); ++at) {
            if (order[at] != text[0]) continue;
            std::size_t up = 1;
            while (up < text.size() && at + up < order.size() && text[up] == order[at + up]) ++up;
            std::size_t down = 1;
            while (down < text.size() && at >= down && text[down] == order[at - down]) ++down;
            best = std::max({best, up, down});
        }
    }
    return best;
}

/// "abcdefgh12345678", "qwertyuiopasdfghjkl", "aaaabbbbcccc": nothing but runs of three and more.
bool only_runs(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = run_length(text);
        if (length < 3) return false;
        text.remove_prefix(length);
    }
    return true;
}

bool is_common_unit(std::string_view unit) {
    if (in_list(unit) || in_list(plain_letters(unit))) return true;
    // A common word with a year, a number or a sign before or after it.
    const std::string_view word = letters_only_ends(unit);
    if (word.size() >= 4 && unit.size() - word.size() <= 8 && (in_list(word) || in_list(plain_letters(word))))
        return true;
    // The same when the word itself ends in substitutes: "p4$$w0rd!", "pa55".
    for (std::size_t cut = 1; cut <= 4 && cut + 4 <= unit.size(); ++cut) {
        if (is_letter(unit[unit.size() - cut])) break;
        if (in_list(plain_letters(unit.substr(0, unit.size() - cut)))) return true;
    }
    return false;
}

bool is(std::string_view password, std::string_view name) {
    return !name.empty() && equal_ignoring_case(password, name);
}

bool matches_owner(std::string_view lower, const PasswordOwner &owner) {
    const std::string first(owner.first_name), last(owner.last_name);
    const std::string_view mailbox = owner.email.substr(0, owner.email.find('@'));
    if (is(lower, owner.email) || is(lower, mailbox) || is(lower, owner.username) || is(lower, first) ||
        is(lower, last))
        return true;
    if (first.empty() || last.empty()) return false;
    for (const char *between : {"", " ", ".", "-", "_"})
        if (is(lower, first + between + last) || is(lower, last + between + first)) return true;
    return false;
}

} // namespace

bool is_common_password(std::string_view password) {
    if (password.empty()) return true;
    const std::string lower = lower_ascii(password);
    if (only_runs(lower)) return true;
    const std::string_view unit = repeated_unit(lower);
    if (unit.size() <= 4 && unit.size() < lower.size()) return true;
    return is_common_unit(unit);
}

const char *check_password_policy(std::string_view password, const PasswordPolicy &policy, const PasswordOwner &owner) {
    if (password.size() > password_max_bytes) return "password_too_long";
    if (!is_valid_utf8(password) || password.find('\0') != std::string_view::npos) return "password_invalid";
    if (utf8_length(password) < policy.min_length) return "password_too_short";
    if (matches_owner(lower_ascii(password), owner)) return "password_matches_identity";
    if (policy.use_blocklist && is_common_password(password)) return "password_too_common";
    return nullptr;
}

} // namespace usher
