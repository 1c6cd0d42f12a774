#include "usher_payment/card_numbers/card_number.hpp"
#include <gtest/gtest.h>

using usher::payment::has_card_number;

// The numbers are those that card networks and processors publish for tests.
TEST(CardNumber, IsFoundWithAndWithoutSeparators) {
    for (const char *text :
         {"4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "card 5555555555554444.", "378282246310005",
          "3782 822463 10005", "30569309025904", "4222222222222", "6011/1111/1111/1117",
          "4.2.4.2.4.2.4.2.4.2.4.2.4.2.4.2", "x4242424242424242y", "6304000000000000000", "4242  4242  4242  4242",
          "4242\xc2\xa0"
          "4242\xc2\xa0"
          "4242\xc2\xa0"
          "4242",
          "4242\xe2\x80\x93"
          "4242\xe2\x80\x93"
          "4242\xe2\x80\x93"
          "4242",
          "\xef\xbc\x94\xef\xbc\x92\xef\xbc\x94\xef\xbc\x92"
          "424242424242"})
        EXPECT_TRUE(has_card_number(text)) << text;
}

TEST(CardNumber, IsFoundBetweenOtherNumbers) {
    EXPECT_TRUE(has_card_number("order 12 4242 4242 4242 4242"));
    EXPECT_TRUE(has_card_number("4242424242424242 12/27 123"));
    EXPECT_TRUE(has_card_number("1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 4242424242424242"));
    EXPECT_TRUE(has_card_number(std::string(500, '1') + " 4242424242424242"));
    EXPECT_TRUE(has_card_number("{\"note\": \"4242 4242 4242 4242\"}"));
    EXPECT_TRUE(has_card_number("{\"number\": 4242424242424242}"));
}

TEST(CardNumber, IsNotWhatFailsTheTestOrHasAnotherLength) {
    for (const char *text :
         {"4242424242424241", "424242424242", "42424242424242424242", "0000000000000000", "", "no digits",
          "4242 4242 4242 425", "1234567890123", "4242, 4242, 4242, 4242", "4242x4242x4242x4242", "+49 170 1234567"})
        EXPECT_FALSE(has_card_number(text)) << text;
}

TEST(CardNumber, IsNotAUuid) {
    EXPECT_FALSE(has_card_number("42424242-4242-4242-8000-000000000000"));
    EXPECT_FALSE(has_card_number("usher-01900000-0000-7000-8000-000042424242"));
    EXPECT_TRUE(has_card_number("01900000-0000-7000-8000-000000000000 4242424242424242"));
}

TEST(CardNumber, LongTextIsReadOnce) {
    std::string text;
    for (int i = 0; i < 200000; ++i) text += "1-";
    (void)has_card_number(text);
    EXPECT_FALSE(has_card_number(std::string(1000000, '7')));
}
