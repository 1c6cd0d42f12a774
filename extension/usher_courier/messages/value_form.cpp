#include "usher_courier/messages/value_form.hpp"
#include "common/currency.hpp"
#include "common/money.hpp"
#include "common/text.hpp"
#include "common/zone.hpp"
#include <algorithm>
#include <array>

namespace usher::courier {

namespace {
struct Names {
    std::string_view language;
    std::array<std::string_view, 7> weekdays; // from Monday on
    std::array<std::string_view, 12> months;
};
constexpr Names names[] = {
    {"en",
     {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
     {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
      "December"}},
    {"de",
     {"Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"},
     {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
      "Dezember"}},
};

bool is_language(std::string_view tag, std::string_view language) {
    return equal_ignoring_case(tag.substr(0, tag.find_first_of("-_")), language);
}

const Names *names_of(std::string_view language) {
    const auto *const found = std::find_if(std::begin(names), std::end(names),
                                           [&](const Names &each) { return is_language(language, each.language); });
    return found == std::end(names) ? nullptr : found;
}

std::string two_digits(int number) { return (number < 10 ? "0" : "") + std::to_string(number); }

/// The number that these digits are, or -1.
int number_at(std::string_view text, std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return -1;
    int number = 0;
    for (const char c : text.substr(at, digits)) {
        if (!is_digit(c)) return -1;
        number = number * 10 + (c - '0');
    }
    return number;
}

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_of(int year, int month) {
    constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/// Howard Hinnant's days_from_civil, for years after 0.
LocalDate date_number(const WallTime &time) {
    const int year = time.month <= 2 ? time.year - 1 : time.year;
    const int era = year / 400, of_era = year % 400;
    const int of_year = (153 * (time.month + (time.month > 2 ? -3 : 9)) + 2) / 5 + time.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}
} // namespace

std::optional<WallTime> parse_wall_time(std::string_view text) {
    const WallTime time{number_at(text, 0, 4), number_at(text, 5, 2), number_at(text, 8, 2), number_at(text, 11, 2),
                        number_at(text, 14, 2)};
    if (text.size() < 16 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ') || text[13] != ':')
        return std::nullopt;
    if (time.year < 1 || time.month < 1 || time.month > 12 || time.day < 1 ||
        time.day > days_of(time.year, time.month) || time.hour < 0 || time.hour > 24 || time.minute < 0 ||
        time.minute > 59)
        return std::nullopt;
    return time;
}

std::string format_date(const WallTime &time, std::string_view language) {
    const Names *const words = names_of(language);
    const std::string year = std::to_string(time.year);
    if (words == nullptr) {
        const std::string digits = "000" + year;
        return digits.substr(digits.size() - 4) + '-' + two_digits(time.month) + '-' + two_digits(time.day);
    }
    const std::string_view point = is_language(language, "de") ? "." : "";
    return std::string(words->weekdays.at(weekday_of(date_number(time)) - 1)) + ", " + std::to_string(time.day) +
           std::string(point) + ' ' + std::string(words->months.at(time.month - 1)) + ' ' + year;
}

std::string format_time(const WallTime &time, std::string_view language) {
    return two_digits(time.hour) + ':' + two_digits(time.minute) + (is_language(language, "de") ? " Uhr" : "");
}

std::string format_money(std::int64_t minor, std::string_view currency, std::string_view language) {
    std::string amount = money::format(minor, money::exponent_of(currency).value_or(2));
    if (currency.empty()) return amount;
    if (is_language(language, "en")) return std::string(currency) + ' ' + amount;
    if (is_language(language, "de")) std::replace(amount.begin(), amount.end(), '.', ',');
    return amount + ' ' + std::string(currency);
}

} // namespace usher::courier
