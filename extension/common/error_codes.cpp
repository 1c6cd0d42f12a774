#include "common/error_codes.hpp"
#include <algorithm>
#include <iterator>

namespace usher {

namespace {
constexpr ErrorCode list[] = {
#define X(name, sqlstate, status, description) {#name, sqlstate, status, description},
    USHER_ERROR_CODES(X)
#undef X
};
} // namespace

std::span<const ErrorCode> error_codes() noexcept { return list; }

const ErrorCode *find_error_code(std::string_view name) noexcept {
    const auto *found =
        std::find_if(std::begin(list), std::end(list), [&](const ErrorCode &c) { return c.name == name; });
    return found == std::end(list) ? nullptr : found;
}

const ErrorCode *find_error_sqlstate(std::string_view sqlstate) noexcept {
    if (sqlstate.empty()) return nullptr;
    const auto *found =
        std::find_if(std::begin(list), std::end(list), [&](const ErrorCode &c) { return c.sqlstate == sqlstate; });
    return found == std::end(list) ? nullptr : found;
}

} // namespace usher
