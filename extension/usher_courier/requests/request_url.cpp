#include "usher_courier/requests/request_url.hpp"
#include "common/text.hpp"
#include <algorithm>

namespace usher::courier {

const char *url_problem(std::string_view url, const std::vector<IpNetwork> &allowed) {
    if (url.empty() || url.size() > 2048) return "url must have 1 to 2048 bytes";
    const bool is_plain = std::all_of(url.begin(), url.end(), [](char c) {
        return c > ' ' && c <= '~' && std::string_view(R"("<>\^`{|})").find(c) == std::string_view::npos;
    });
    if (!is_plain) return "url must be written in printable ASCII, other characters percent-encoded";
    const std::size_t colon = url.find("://");
    const std::string_view scheme = url.substr(0, colon == std::string_view::npos ? 0 : colon);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https"))
        return "url must begin with https:// or http://";
    std::string_view authority = url.substr(colon + 3);
    authority = authority.substr(0, authority.find_first_of("/?#"));
    if (authority.find('@') != std::string_view::npos) return "url must not contain a user";
    std::string_view host = authority;
    std::string_view port;
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        if (end == std::string_view::npos) return "url has no valid host";
        port = host.substr(end + 1);
        host = host.substr(1, end - 1);
        if (!IpAddress::parse(host)) return "url has no valid host"; // nor a zone: it is of this machine only
    } else {
        const std::size_t end = std::min(host.find(':'), host.size());
        port = host.substr(end);
        host = host.substr(0, end);
    }
    if (host.empty() || host.size() > 253) return "url has no valid host";
    if (!port.empty()) {
        port.remove_prefix(1);
        if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit))
            return "url has no valid port";
    }
    if (const auto address = IpAddress::parse(host); address && !may_reach(*address, allowed))
        return "url leads to an address that is not for requests (courier.allowed_networks)";
    return nullptr;
}

} // namespace usher::courier
