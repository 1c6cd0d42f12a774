#include "usher_courier/requests/request_url.hpp"

#include <gtest/gtest.h>

using namespace usher;
using courier::url_problem;

TEST(RequestUrl, PublicPlacesMayBeAsked) {
    for (const char *url :
         {"https://example.com", "https://example.com/", "HTTP://EXAMPLE.com:8080/a?b=c#d", "https://1.1.1.1/",
          "https://[2606:4700:4700::1111]:443/x", "https://example.com/?u=a@b", "https://xn--grn-ioa.example/%20"})
        EXPECT_EQ(url_problem(url, {}), nullptr) << url;
}

TEST(RequestUrl, WhatIsNoUrlOfHttpIsRefused) {
    for (const char *url : {"", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd",
                            "http:/example.com", "javascript:alert(1)", "http://", "http:///x", "http://:80/",
                            "https://example.com:/", "https://example.com:x/", "https://example.com:123456/",
                            "http://[::1", "http://[fe80::1%25eth0]/", "http://[example.com]/"})
        EXPECT_NE(url_problem(url, {}), nullptr) << url;
}

TEST(RequestUrl, NobodyHidesAUserOrAnotherLineInIt) {
    for (const char *url :
         {"http://user@example.com/", "http://user:word@example.com/", "http://127.0.0.1@example.com/",
          "http://example.com/a b", "http://example.com/\r\nHost: x", "http://example.com/\t", "http://grün.example/",
          "http://example.com\\@127.0.0.1/", "http://{a,b}.example/"})
        EXPECT_NE(url_problem(url, {}), nullptr) << url;
}

TEST(RequestUrl, AddressesThatAreNotGlobalAreRefusedUnlessListed) {
    const std::vector<IpNetwork> allowed = {*IpNetwork::parse("10.1.0.0/16"), *IpNetwork::parse("::1/128")};
    for (const char *url : {"http://10.0.0.1/", "http://127.0.0.1:9/", "http://169.254.169.254/latest", "http://[::1]/",
                            "http://[::ffff:10.1.0.1]/", "http://0.0.0.0/"})
        EXPECT_NE(url_problem(url, {}), nullptr) << url;
    for (const char *url : {"http://10.1.2.3/", "http://[::1]:8080/"})
        EXPECT_EQ(url_problem(url, allowed), nullptr) << url;
    EXPECT_NE(url_problem("http://10.2.0.1/", allowed), nullptr);
}
