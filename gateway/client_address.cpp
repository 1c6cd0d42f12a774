#include "client_address.hpp"

namespace usher::gateway {

namespace {

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"
std::optional<Address> parse_hop(std::string_view text) {
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        return end == std::string_view::npos ? std::nullopt : Address::parse(text.substr(1, end - 1));
    }
    if (const auto address = Address::parse(text)) return address;
    const std::size_t colon = text.find(':');
    return colon == std::string_view::npos ? std::nullopt : Address::parse(text.substr(0, colon));
}

// The value of "for" in one element of a Forwarded field.
std::string_view forwarded_for(std::string_view element) {
    while (!element.empty()) {
        const std::size_t end = element.find(';');
        const std::string_view pair = trim(element.substr(0, end), header_space);
        if (pair.size() > 4 && lower_case(pair.substr(0, 4)) == "for=") {
            std::string_view value = pair.substr(4);
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                value = value.substr(1, value.size() - 2);
            return value;
        }
        element = end == std::string_view::npos ? "" : element.substr(end + 1);
    }
    return {};
}

} // namespace

Address client_address(const Address &peer, const Request &request, const std::vector<Network> &trusted,
                       std::string_view header_name) {
    const auto is_trusted = [&](const Address &address) {
        for (const Network &network : trusted)
            if (network.contains(address)) return true;
        return false;
    };
    std::string hops; // several fields of one name are one list
    for (const Field &field : request.fields) {
        if (field.name != header_name) continue;
        if (!hops.empty()) hops += ',';
        hops += field.value;
    }
    Address current = peer;
    std::string_view left = hops;
    while (!left.empty() && is_trusted(current)) {
        const std::size_t comma = left.rfind(',');
        std::string_view element = trim(comma == std::string_view::npos ? left : left.substr(comma + 1), header_space);
        left = comma == std::string_view::npos ? "" : left.substr(0, comma);
        if (header_name == "forwarded") element = forwarded_for(element);
        const std::optional<Address> hop = parse_hop(element);
        if (!hop) break;
        current = *hop;
    }
    return current;
}

} // namespace usher::gateway
