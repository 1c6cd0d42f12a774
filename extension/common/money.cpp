#include "common/money.hpp"
#include "common/text.hpp"
#include <limits>

namespace usher::money {

std::optional<std::int64_t> share(std::int64_t amount, std::int64_t numerator, std::int64_t denominator) noexcept {
    if (denominator <= 0) return std::nullopt;
    __extension__ using Wide = __int128;
    const Wide doubled = static_cast<Wide>(amount) * numerator * 2 + denominator;
    const Wide divisor = static_cast<Wide>(denominator) * 2;
    Wide result = doubled / divisor;
    if (doubled % divisor < 0) --result; // towards minus infinity, so that a half always goes up
    if (result > std::numeric_limits<std::int64_t>::max() || result < std::numeric_limits<std::int64_t>::min())
        return std::nullopt;
    return static_cast<std::int64_t>(result);
}

Parsed parse(std::string_view text, int exponent) noexcept {
    const bool is_negative = !text.empty() && text.front() == '-';
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
    const std::size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    std::string_view places = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
    if (whole.empty() || (point != std::string_view::npos && places.empty())) return {0, Problem::malformed};
    for (const std::string_view part : {whole, places})
        for (const char c : part)
            if (!is_digit(c)) return {0, Problem::malformed};
    const auto kept = static_cast<std::size_t>(exponent);
    if (places.size() > kept) {
        if (places.find_first_not_of('0', kept) != std::string_view::npos) return {0, Problem::too_precise};
        places = places.substr(0, kept);
    }
    std::int64_t minor = 0;
    const auto append = [&](int digit) {
        const auto tenfold = multiply(minor, 10);
        const auto next = tenfold ? add(*tenfold, digit) : std::nullopt;
        if (next) minor = *next;
        return next.has_value();
    };
    for (const char c : whole)
        if (!append(c - '0')) return {0, Problem::too_large};
    for (std::size_t i = 0; i < kept; ++i)
        if (!append(i < places.size() ? places[i] - '0' : 0)) return {0, Problem::too_large};
    return {is_negative ? -minor : minor, Problem::none};
}

std::string format(std::int64_t minor, int exponent) {
    const bool is_negative = minor < 0;
    const auto unsigned_minor = static_cast<std::uint64_t>(minor);
    std::string digits = std::to_string(is_negative ? 0 - unsigned_minor : unsigned_minor);
    const auto places = static_cast<std::size_t>(exponent);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    if (places > 0) digits.insert(digits.size() - places, 1, '.');
    return is_negative ? '-' + digits : digits;
}

} // namespace usher::money
