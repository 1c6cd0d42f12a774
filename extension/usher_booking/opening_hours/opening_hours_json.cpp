#include "usher_booking/opening_hours/opening_hours_json.hpp"
#include "common/error.hpp"
#include "common/json.hpp"

namespace usher::hours {

namespace {
constexpr std::size_t max_periods = 48;

[[noreturn]] void refuse(const char *why) { throw Error(errc::invalid_argument, why, R"({"argument":"periods"})"); }

/// Two digits at `at`, or -1.
int two_digits(std::string_view text, std::size_t at) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (at + 2 > text.size() || !is_digit(text[at]) || !is_digit(text[at + 1])) return -1;
    return (text[at] - '0') * 10 + (text[at + 1] - '0');
}
} // namespace

std::optional<std::int64_t> parse_wall_time(std::string_view text, bool may_be_24) {
    if ((text.size() != 5 && text.size() != 8) || text[2] != ':' || (text.size() == 8 && text[5] != ':'))
        return std::nullopt;
    const int hour = two_digits(text, 0), minute = two_digits(text, 3),
              second = text.size() == 8 ? two_digits(text, 6) : 0;
    if (hour < 0 || minute < 0 || minute > 59 || second < 0 || second > 59) return std::nullopt;
    if (hour > 23 && !(may_be_24 && hour == 24 && minute == 0 && second == 0)) return std::nullopt;
    return (hour * 3600 + minute * 60 + second) * second_us;
}

std::vector<Period> parse_periods(std::string_view json) {
    json::Document document;
    if (!document.parse(json) || !document.root().is_array() || document.root().size() > max_periods)
        refuse("periods must be a JSON array of at most 48 periods");
    std::vector<Period> periods;
    for (const json::Member element : document.root().members()) {
        const json::Value &value = element.value;
        std::string opens, closes;
        if (value.is_array()) {
            std::size_t position = 0;
            for (const json::Member each : value.members()) {
                if (position == 0) opens = each.value.as_string();
                if (position == 1) closes = each.value.as_string();
                ++position;
            }
            if (position != 2) refuse("a period must have opens and closes as hh:mm");
        } else {
            const auto member = [&](std::string_view name, std::string_view other) {
                const auto found = value.find(name) ? value.find(name) : value.find(other);
                return found ? found->as_string() : std::string();
            };
            opens = member("opens", "open");
            closes = member("closes", "close");
        }
        const auto from = parse_wall_time(opens, false), until = parse_wall_time(closes, true);
        if (!from || !until) refuse("a period must have opens and closes as hh:mm");
        periods.push_back({*from, *until});
    }
    return periods;
}

} // namespace usher::hours
