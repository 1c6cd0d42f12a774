// Small value types that every part of usher shares.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace usher {

/// A 128-bit identifier (RFC 9562), in network byte order as PostgreSQL stores it.
struct Uuid {
    std::array<std::uint8_t, 16> bytes{};
    friend bool operator==(const Uuid &, const Uuid &) = default;
    friend auto operator<=>(const Uuid &, const Uuid &) = default; // NOLINT(modernize-use-nullptr): the 0 is std's
};

/// Lower-case canonical text of a uuid: 8-4-4-4-12 hex digits.
std::string to_string(const Uuid &id);
/// Parses the canonical 36-character form (either case); nothing else is accepted.
std::optional<Uuid> parse_uuid(std::string_view text);
/// A version 7 uuid (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 12 bits of sub-millisecond
/// fraction so that ids made by one backend sort by time, 62 random bits.
Uuid make_uuid_v7(std::int64_t unix_microseconds, const std::array<std::uint8_t, 8> &random);
/// A version 8 uuid (RFC 9562 section 5.8): the first 122 bits of a digest, for a name that is no uuid itself.
Uuid make_uuid_v8(const std::array<std::uint8_t, 32> &digest);

/// A point in time: microseconds since the Unix epoch, UTC.
using Instant = std::int64_t;
/// Of an Instant, and of spans of time.
inline constexpr std::int64_t one_second = 1'000'000;

} // namespace usher

template <> struct std::hash<usher::Uuid> {
    std::size_t operator()(const usher::Uuid &id) const noexcept {
        return std::hash<std::string_view>{}({reinterpret_cast<const char *>(id.bytes.data()), id.bytes.size()});
    }
};
