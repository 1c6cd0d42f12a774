// Time zones from PostgreSQL's own zone files.
#pragma once
#include "common/zone.hpp"
#include <memory>
#include <string_view>

namespace usher::booking {

/// The clock changes of a zone around the range. Throws 22023 for a name that the server does not know.
std::shared_ptr<const Zone> zone_named(std::string_view name, const TimeRange &range);

} // namespace usher::booking
