#include "usher/audit/read_kinds.hpp"
#include <gtest/gtest.h>

using namespace usher::audit;

TEST(ReadKinds, OffNamesNone) {
    for (const char *const off : {"off", "false", "no", "0", "", " off "}) {
        EXPECT_TRUE(are_read_kinds(off)) << off;
        EXPECT_FALSE(names_read_kind(off, "user")) << off;
    }
}

TEST(ReadKinds, OnNamesAll) {
    for (const char *const on : {"on", "true", "yes", "1", "all"}) {
        EXPECT_TRUE(are_read_kinds(on)) << on;
        EXPECT_TRUE(names_read_kind(on, "user")) << on;
        EXPECT_TRUE(names_read_kind(on, "wash.bookings")) << on;
    }
}

TEST(ReadKinds, AListNamesItsOwn) {
    EXPECT_TRUE(are_read_kinds("user, customer,wash.bookings"));
    EXPECT_TRUE(names_read_kind("user, customer,wash.bookings", "customer"));
    EXPECT_TRUE(names_read_kind("user, customer,wash.bookings", "wash.bookings"));
    EXPECT_FALSE(names_read_kind("user, customer", "custom"));
    EXPECT_FALSE(names_read_kind("user, customer", "booking"));
}

TEST(ReadKinds, RefusesWhatNamesNothing) {
    for (const char *const wrong : {"user customer", "user,", ",", "user,,customer", "user, off", "on, user"})
        EXPECT_FALSE(are_read_kinds(wrong)) << wrong;
}
