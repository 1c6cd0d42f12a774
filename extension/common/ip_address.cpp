#include "common/ip_address.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace usher {

static constexpr std::uint8_t ipv4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    const std::string copy(text);
    IpAddress address;
    if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
    std::memcpy(address.bytes.data(), ipv4_prefix, 12);
    if (inet_pton(AF_INET, copy.c_str(), address.bytes.data() + 12) == 1) return address;
    return std::nullopt;
}

std::string IpAddress::to_string() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (std::memcmp(bytes.data(), ipv4_prefix, 12) == 0)
        inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
    else
        inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
    return text;
}

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::optional<IpAddress> base = IpAddress::parse(text.substr(0, slash));
    if (!base) return std::nullopt;
    const bool is_ipv4 = text.find(':') == std::string_view::npos;
    IpNetwork network{*base, 128};
    if (slash == std::string_view::npos) return network;
    const std::string_view bits = text.substr(slash + 1);
    int value = 0;
    const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), value);
    if (error != std::errc{} || end != bits.data() + bits.size() || value < 0 || value > (is_ipv4 ? 32 : 128))
        return std::nullopt;
    network.prefix_bits = is_ipv4 ? 96 + value : value;
    return network;
}

static constexpr bool begins_with(const std::array<std::uint8_t, 16> &bytes, const std::array<std::uint8_t, 16> &base,
                                  int bits) noexcept {
    const int whole = bits / 8;
    const int rest = bits % 8;
    for (int i = 0; i < whole; ++i)
        if (bytes[i] != base[i]) return false;
    return rest == 0 || (base[whole] >> (8 - rest)) == (bytes[whole] >> (8 - rest));
}

bool IpNetwork::contains(const IpAddress &address) const { return begins_with(address.bytes, base.bytes, prefix_bits); }

namespace {

struct Purpose {
    const char *name;
    std::array<std::uint8_t, 16> base;
    int bits;
};

constexpr std::array<std::uint8_t, 16> ipv4(std::uint8_t a, std::uint8_t b = 0, std::uint8_t c = 0) {
    return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, 0};
}
constexpr std::array<std::uint8_t, 16> ipv6(int a, int b = 0, int c = 0) {
    const auto high = [](int group) { return static_cast<std::uint8_t>(group >> 8); };
    const auto low = [](int group) { return static_cast<std::uint8_t>(group & 0xff); };
    return {high(a), low(a), high(b), low(b), high(c), low(c)};
}

// RFC 6890 and the registries that grew out of it. The first that fits gives the name.
constexpr Purpose purposes[] = {
    {"this network", ipv4(0), 96 + 8},
    {"private use", ipv4(10), 96 + 8},
    {"carrier-grade NAT", ipv4(100, 64), 96 + 10},
    {"loopback", ipv4(127), 96 + 8},
    {"link-local", ipv4(169, 254), 96 + 16},
    {"private use", ipv4(172, 16), 96 + 12},
    {"protocol assignments", ipv4(192, 0, 0), 96 + 24},
    {"documentation", ipv4(192, 0, 2), 96 + 24},
    {"6to4", ipv4(192, 88, 99), 96 + 24},
    {"private use", ipv4(192, 168), 96 + 16},
    {"benchmarking", ipv4(198, 18), 96 + 15},
    {"documentation", ipv4(198, 51, 100), 96 + 24},
    {"documentation", ipv4(203, 0, 113), 96 + 24},
    {"multicast", ipv4(224), 96 + 4},
    {"reserved", ipv4(240), 96 + 4},
    {"Teredo", ipv6(0x2001, 0), 32},
    {"protocol assignments", ipv6(0x2001, 0), 23},
    {"documentation", ipv6(0x2001, 0xdb8), 32},
    {"6to4", ipv6(0x2002), 16},
    {"documentation", ipv6(0x3fff), 20},
    {"NAT64", ipv6(0x64, 0xff9b), 32},
    {"unique local", ipv6(0xfc00), 7},
    {"link-local", ipv6(0xfe80), 10},
    {"site-local", ipv6(0xfec0), 10},
    {"multicast", ipv6(0xff00), 8},
};
constexpr std::array<std::uint8_t, 16> loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

} // namespace

const char *special_purpose(const IpAddress &address) noexcept {
    for (const Purpose &purpose : purposes)
        if (begins_with(address.bytes, purpose.base, purpose.bits)) return purpose.name;
    if (std::memcmp(address.bytes.data(), ipv4_prefix, sizeof ipv4_prefix) == 0) return nullptr;
    if (address.bytes == loopback) return "loopback";
    // all that is given out as global unicast lies in 2000::/3; the unspecified address, and ::a.b.c.d, do not
    return (address.bytes[0] & 0xe0) == 0x20 ? nullptr : "not global unicast";
}

bool may_reach(const IpAddress &address, const std::vector<IpNetwork> &allowed) noexcept {
    if (special_purpose(address) == nullptr) return true;
    for (const IpNetwork &network : allowed)
        if (network.contains(address)) return true;
    return false;
}

} // namespace usher
