// Who sent a request: the peer, or what trusted proxies say about it.
#pragma once
#include "common/ip_address.hpp"
#include "request.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::gateway {

using Address = IpAddress;
using Network = IpNetwork;

/// Walks from the peer to the left as long as the hop is a trusted proxy, and returns the first that is not.
/// header_name: x-forwarded-for or forwarded (RFC 7239). An entry that is not an address ends the walk.
Address client_address(const Address &peer, const Request &request, const std::vector<Network> &trusted,
                       std::string_view header_name);

} // namespace usher::gateway
