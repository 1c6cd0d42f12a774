// What the text of a URL tells about whether a request may go there. Where its name leads is looked at when somebody
// connects (gateway/courier/request_sender.cpp).
#pragma once
#include "common/ip_address.hpp"
#include <string_view>
#include <vector>

namespace usher::courier {

/// Why not, in words that follow "url"; nullptr when nothing speaks against it.
const char *url_problem(std::string_view url, const std::vector<IpNetwork> &allowed);

} // namespace usher::courier
