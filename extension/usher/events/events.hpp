// Events: what features tell each other instead of reading each other's tables.
#pragma once
#include "common/types.hpp"
#include "pg/pg.hpp"
#include <optional>
#include <string_view>

namespace usher::events {

/// Stores the event in this transaction, calls its sync subscribers in the order of their subscription, and leaves one
/// delivery for each async consumer. `payload` is a JSON object. Events with the same key reach each async consumer one
/// after the other. Throws what a subscriber throws, US501 when handlers publish in a circle, and 42501 when the event
/// belongs to somebody else than `role` acts for: the current user, unless another is given.
Uuid publish(std::string_view event, std::string_view payload, std::optional<std::string_view> key = std::nullopt,
             Oid role = InvalidOid);

/// Calls the handler of an async subscription for one event. False when there is no such function, or no longer.
bool run_handler(const Uuid &event_id, std::string_view consumer);

} // namespace usher::events
