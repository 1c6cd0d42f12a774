// Values as people read them: dates, times and amounts, in the language of a message.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace usher::courier {

/// What clocks show, of "2026-12-01T14:00", as PostgreSQL writes times in JSON; what follows the minutes is not looked
/// at.
struct WallTime {
    int year, month, day, hour, minute;
};
std::optional<WallTime> parse_wall_time(std::string_view text);

/// "Tuesday, 1 December 2026", "Dienstag, 1. Dezember 2026"; in other languages 2026-12-01.
std::string format_date(const WallTime &time, std::string_view language);
/// "14:00", "14:00 Uhr"
std::string format_time(const WallTime &time, std::string_view language);

/// "EUR 12.50", "12,50 EUR". A currency that is none has two decimal places.
std::string format_money(std::int64_t minor, std::string_view currency, std::string_view language);

} // namespace usher::courier
