// Events: what features tell each other instead of reading each other's tables.
#pragma once
#include "core/types.hpp"
#include <optional>
#include <string_view>

namespace usher::events {

/// Stores the event in this transaction, calls its sync subscribers in the order of their subscription, and leaves one
/// delivery for each async consumer. `payload` is a JSON object. Events with the same key reach each async consumer one
/// after the other. Throws what a subscriber throws, and US501 when handlers publish in a circle.
Uuid publish(std::string_view event, std::string_view payload, std::optional<std::string_view> key = std::nullopt);

/// Calls the handler of an async subscription for one event. False when there is no such function (any more).
bool run_handler(const Uuid &event_id, std::string_view consumer);

} // namespace usher::events
