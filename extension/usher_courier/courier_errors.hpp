// The error codes of usher_courier, class UM. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::invalid_template and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode invalid_template{"invalid_template", "UM001", 422, "The template cannot be read, or places something where it is not safe."};
inline constexpr ErrorCode url_refused{"url_refused", "UM002", 422, "No request may go to this URL."};
inline constexpr ErrorCode event_not_for_others{"event_not_for_others", "UM003", 422, "An event that carries a secret goes out to nobody."};
inline constexpr ErrorCode message_is_void{"message_is_void", "UM004", 409, "The message cannot be sent again: what it had to say is gone, or of no use any more."};
// clang-format on

} // namespace usher::errc

namespace usher::courier {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::invalid_template,
    &errc::url_refused,
    &errc::event_not_for_others,
    &errc::message_is_void,
};

} // namespace usher::courier
