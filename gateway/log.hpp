// One JSON object per line on standard output. Nothing secret comes here: no header values, no bodies, no query string.
#pragma once
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace usher::gateway {

enum class Level { info, warning, error };

/// Writes {"time", "level", "event", …fields} as one line, with one write.
void log(Level level, std::string_view event, const nlohmann::ordered_json &fields);

} // namespace usher::gateway
