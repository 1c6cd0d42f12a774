// Addresses and networks of IP, and which addresses a request to the outside may reach.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher {

struct IpAddress { // IPv4 addresses as ::ffff:a.b.c.d
    std::array<std::uint8_t, 16> bytes{};
    static std::optional<IpAddress> parse(std::string_view text);
    std::string to_string() const;
};

struct IpNetwork {
    IpAddress base;
    int prefix_bits = 128;
    static std::optional<IpNetwork> parse(std::string_view text); // 10.0.0.0/8, ::1
    bool contains(const IpAddress &address) const;
};

/// What an address is set aside for ("private use", "loopback" …), or nullptr when it is a global unicast one: those
/// that IANA's registries of special-purpose addresses do not call globally reachable, and those that carry an IPv4
/// address inside, which would be a way around the rules for IPv4.
const char *special_purpose(const IpAddress &address) noexcept;

/// A server that acts on somebody's wish may reach global addresses, and of the others those that its DBA lists.
bool may_reach(const IpAddress &address, const std::vector<IpNetwork> &allowed) noexcept;

} // namespace usher
