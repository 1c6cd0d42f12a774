#include "usher_payment/card_numbers/card_number.hpp"
#include "common/encoding.hpp"
#include "common/text.hpp"
#include <array>

namespace usher::payment {

namespace {
constexpr std::size_t fewest_digits = 13, most_digits = 19;

/// The digits that were read, in groups. A number has at most 19 of either, so only the last ones are kept.
class Run {
public:
    void clear() noexcept { digits_ = groups_ = 0; }

    /// A digit that continues its group, or begins the next one.
    void add(int digit, bool begins) noexcept {
        if (begins || groups_ == 0) starts_[groups_++ % kept] = digits_;
        digit_of_[digits_++ % kept] = digit;
    }

    /// Does a number end with the group that has just ended?
    [[nodiscard]] bool ends_number() const noexcept {
        for (std::size_t i = 1; i <= groups_; ++i) {
            const std::size_t count = digits_ - starts_[(groups_ - i) % kept];
            if (count > most_digits) return false;
            if (count >= fewest_digits && last_pass(count)) return true;
        }
        return false;
    }

private:
    /// Nothing but zeros passes the test as well, and is nobody's number.
    [[nodiscard]] bool last_pass(std::size_t count) const noexcept {
        int sum = 0;
        for (std::size_t i = 1; i <= count; ++i) {
            const int digit = digit_of_[(digits_ - i) % kept] * (i % 2 == 0 ? 2 : 1);
            sum += digit > 9 ? digit - 9 : digit;
        }
        return sum > 0 && sum % 10 == 0;
    }

    static constexpr std::size_t kept = 32;
    std::array<int, kept> digit_of_{};
    std::array<std::size_t, kept> starts_{}; // counted like digits_
    std::size_t digits_ = 0, groups_ = 0;
};

/// How long a digit is at this place, and which; 0 for none.
std::size_t digit_at(std::string_view text, std::size_t at, int &digit) noexcept {
    if (is_digit(text[at])) return digit = text[at] - '0', 1;
    // U+FF10 to U+FF19
    if (text.size() - at >= 3 && text[at] == '\xef' && text[at + 1] == '\xbc' && text[at + 2] >= '\x90' &&
        text[at + 2] <= '\x99')
        return digit = static_cast<unsigned char>(text[at + 2]) - 0x90, 3;
    return 0;
}

std::size_t separator_at(std::string_view text, std::size_t at) noexcept {
    switch (text[at]) {
    case ' ':
    case '-':
    case '.':
    case '/':
    case '_':
    case '\t': return 1;
    case '\xc2': return text.size() - at >= 2 && text[at + 1] == '\xa0' ? 2 : 0; // no-break space
    case '\xe2': // U+2000 to U+200B, U+2010 to U+2015, U+202F
        if (text.size() - at < 3 || text[at + 1] != '\x80') return 0;
        {
            const auto last = static_cast<unsigned char>(text[at + 2]);
            return last <= 0x8b || (last >= 0x90 && last <= 0x95) || last == 0xaf ? 3 : 0;
        }
    default: return 0;
    }
}

bool is_uuid(std::string_view text) noexcept {
    if (text.size() < uuid_text_length) return false;
    for (std::size_t i = 0; i < uuid_text_length; ++i) {
        const bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen ? text[i] != '-' : hex_value(text[i]) < 0) return false;
    }
    return text.size() == uuid_text_length || !is_alphanumeric(text[uuid_text_length]);
}
} // namespace

bool has_card_number(std::string_view text) noexcept {
    if (text.size() < fewest_digits) return false;
    Run run;
    bool in_group = false;
    int separators = 0;
    for (std::size_t at = 0; at < text.size();) {
        const bool begins_word = at == 0 || !is_alphanumeric(text[at - 1]);
        if (begins_word && hex_value(text[at]) >= 0 && is_uuid(text.substr(at))) {
            if (in_group && run.ends_number()) return true;
            run.clear();
            in_group = false;
            at += uuid_text_length;
            continue;
        }
        int digit = 0;
        if (const std::size_t length = digit_at(text, at, digit); length > 0) {
            run.add(digit, !in_group);
            in_group = true;
            separators = 0;
            at += length;
            continue;
        }
        if (in_group && run.ends_number()) return true;
        in_group = false;
        const std::size_t length = separator_at(text, at);
        if (length == 0 || ++separators > 2) run.clear();
        at += length > 0 ? length : 1;
    }
    return in_group && run.ends_number();
}

} // namespace usher::payment
