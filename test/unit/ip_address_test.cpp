#include "common/ip_address.hpp"

#include <gtest/gtest.h>

using namespace usher;

namespace {

std::string purpose_of(const char *text) {
    const std::optional<IpAddress> address = IpAddress::parse(text);
    if (!address) return "no address";
    const char *purpose = special_purpose(*address);
    return purpose == nullptr ? "" : purpose;
}

struct Expected {
    const char *address;
    const char *purpose;
};

} // namespace

TEST(IpAddress, GlobalUnicastAddressesHaveNoSpecialPurpose) {
    for (const char *text : {"1.1.1.1",
                             "8.8.8.8",
                             "9.255.255.255",
                             "11.0.0.0",
                             "100.63.255.255",
                             "100.128.0.0",
                             "126.255.255.255",
                             "128.0.0.0",
                             "169.253.255.255",
                             "169.255.0.0",
                             "172.15.255.255",
                             "172.32.0.0",
                             "192.0.1.0",
                             "192.0.3.0",
                             "192.167.255.255",
                             "192.169.0.0",
                             "198.17.255.255",
                             "198.20.0.0",
                             "223.255.255.255",
                             "2001:200::1",
                             "2606:4700:4700::1111",
                             "2a00:1450:4001:80b::200e",
                             "2001:db7:ffff::1",
                             "2001:db9::",
                             "2003::1"})
        EXPECT_EQ(purpose_of(text), "") << text;
}

TEST(IpAddress, AddressesThatNoRequestMayReachHaveTheNameOfTheirPurpose) {
    for (const Expected &each : {Expected{"0.0.0.0", "this network"},
                                 {"0.1.2.3", "this network"},
                                 {"10.0.0.0", "private use"},
                                 {"10.255.255.255", "private use"},
                                 {"100.64.0.0", "carrier-grade NAT"},
                                 {"100.127.255.255", "carrier-grade NAT"},
                                 {"127.0.0.1", "loopback"},
                                 {"127.255.255.254", "loopback"},
                                 {"169.254.169.254", "link-local"},
                                 {"172.16.0.1", "private use"},
                                 {"172.31.255.255", "private use"},
                                 {"192.0.0.192", "protocol assignments"},
                                 {"192.0.2.1", "documentation"},
                                 {"192.88.99.1", "6to4"},
                                 {"192.168.0.1", "private use"},
                                 {"198.18.0.1", "benchmarking"},
                                 {"198.19.255.255", "benchmarking"},
                                 {"198.51.100.7", "documentation"},
                                 {"203.0.113.9", "documentation"},
                                 {"224.0.0.1", "multicast"},
                                 {"239.255.255.255", "multicast"},
                                 {"240.0.0.1", "reserved"},
                                 {"255.255.255.255", "reserved"},
                                 {"::", "not global unicast"},
                                 {"::1", "loopback"},
                                 {"::127.0.0.1", "not global unicast"},
                                 {"::ffff:127.0.0.1", "loopback"},
                                 {"::ffff:10.1.2.3", "private use"},
                                 {"::ffff:a9fe:a9fe", "link-local"},
                                 {"64:ff9b::7f00:1", "NAT64"},
                                 {"64:ff9b:1::a00:1", "NAT64"},
                                 {"100::1", "not global unicast"},
                                 {"2001::1", "Teredo"},
                                 {"2001:0:7f00:1::", "Teredo"},
                                 {"2001:10::1", "protocol assignments"},
                                 {"2001:20::1", "protocol assignments"},
                                 {"2001:db8::1", "documentation"},
                                 {"2002:7f00:1::", "6to4"},
                                 {"3fff::1", "documentation"},
                                 {"5f00::1", "not global unicast"},
                                 {"fc00::1", "unique local"},
                                 {"fdff:ffff::1", "unique local"},
                                 {"fe80::1", "link-local"},
                                 {"febf::1", "link-local"},
                                 {"fec0::1", "site-local"},
                                 {"ff02::1", "multicast"}})
        EXPECT_EQ(purpose_of(each.address), each.purpose) << each.address;
}

TEST(IpAddress, WhatIsListedMayBeReachedAndNothingBesideIt) {
    const std::vector<IpNetwork> allowed = {*IpNetwork::parse("10.1.0.0/16"), *IpNetwork::parse("fd00:1::/32"),
                                            *IpNetwork::parse("127.0.0.1")};
    for (const char *text : {"10.1.0.1", "10.1.255.255", "fd00:1::5", "127.0.0.1", "1.1.1.1"})
        EXPECT_TRUE(may_reach(*IpAddress::parse(text), allowed)) << text;
    for (const char *text : {"10.2.0.1", "127.0.0.2", "fd00:2::1", "::1", "169.254.169.254"})
        EXPECT_FALSE(may_reach(*IpAddress::parse(text), allowed)) << text;
}

TEST(IpAddress, NetworksAreReadStrictly) {
    for (const char *text : {"10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/8x", "", "/8"})
        EXPECT_FALSE(IpNetwork::parse(text)) << text;
    EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1")->to_string(), "192.0.2.1");
}
