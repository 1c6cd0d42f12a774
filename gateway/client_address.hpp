// Who sent a request: the peer, or what trusted proxies say about it.
#pragma once
#include "request.hpp"
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace usher::gateway {

struct Address { // IPv4 addresses as ::ffff:a.b.c.d
    std::array<std::uint8_t, 16> bytes{};
    static std::optional<Address> parse(std::string_view text);
    std::string to_string() const;
};

struct Network {
    Address base;
    int prefix_bits = 128;
    static std::optional<Network> parse(std::string_view text); // 10.0.0.0/8, ::1
    bool contains(const Address &address) const;
};

/// Walks from the peer to the left as long as the hop is a trusted proxy, and returns the first that is not.
/// header_name: x-forwarded-for or forwarded (RFC 7239). An entry that is not an address ends the walk.
Address client_address(const Address &peer, const Request &request, const std::vector<Network> &trusted,
                       std::string_view header_name);

} // namespace usher::gateway
