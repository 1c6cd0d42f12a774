// Opening hours in JSON: [{"opens": "08:00", "closes": "12:00"}, …], with open and close as well, or [["08:00",
// "12:00"], …].
#pragma once
#include "usher_booking/opening_hours/opening_hours.hpp"
#include <string>
#include <string_view>

namespace usher::hours {

/// The periods of one day. Throws invalid_argument that names what is wrong.
std::vector<Period> parse_periods(std::string_view json);
/// "08:00" or "08:00:30"; 24:00 where the end of a day is meant. Nothing for anything else.
std::optional<std::int64_t> parse_wall_time(std::string_view text, bool may_be_24);

} // namespace usher::hours
