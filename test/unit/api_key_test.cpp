// The form of API keys.
#include "usher/identity/api_key.hpp"
#include <gtest/gtest.h>

using namespace usher;

TEST(ApiKey, AKeyShowsItsPrefix) {
    const ApiKey key = make_api_key();
    EXPECT_EQ(key.text.size(), 60U);
    EXPECT_TRUE(looks_like_api_key(key.text));
    EXPECT_EQ(api_key_prefix(key.text), key.prefix);
    EXPECT_NE(make_api_key().text, key.text);
}

TEST(ApiKey, OtherTextIsNone) {
    const std::string good = make_api_key().text;
    EXPECT_FALSE(looks_like_api_key("eyJhbGciOiJFUzI1NiJ9.e30.x"));
    EXPECT_FALSE(api_key_prefix(""));
    EXPECT_FALSE(api_key_prefix("uak_"));
    EXPECT_FALSE(api_key_prefix(good + 'A'));
    EXPECT_FALSE(api_key_prefix(good.substr(0, good.size() - 1)));
    for (const std::size_t at : {std::size_t{0}, std::size_t{5}, std::size_t{16}, good.size() - 1}) {
        std::string bad = good;
        bad[at] = '!';
        EXPECT_FALSE(api_key_prefix(bad)) << at;
    }
    std::string upper = good;
    upper[4] = 'A'; // hexadecimal digits are lower case: a key has one spelling
    EXPECT_FALSE(api_key_prefix(upper));
}
