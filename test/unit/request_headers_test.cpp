#include "usher/http/request_headers.hpp"
#include <gtest/gtest.h>

using namespace usher::headers;

TEST(Authorization, Kinds) {
    EXPECT_EQ(parse_authorization("").kind, Credentials::none);
    EXPECT_EQ(parse_authorization("Basic YTpi").kind, Credentials::other);
    EXPECT_EQ(parse_authorization("Bearertoken").kind, Credentials::other);
    for (const char *text :
         {"Bearer", "Bearer ", "Bearer a b", "Bearer \xc3\xa9", "Bearer =", "Bearer a=b", "Bearer a,b", "Bearer\ta"})
        EXPECT_EQ(parse_authorization(text).kind, Credentials::malformed) << text;
    for (const char *text : {"Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER   a.b-c_d~e+f/g=="}) {
        EXPECT_EQ(parse_authorization(text).kind, Credentials::bearer) << text;
        EXPECT_EQ(parse_authorization(text).token, "a.b-c_d~e+f/g==");
    }
}

TEST(Traceparent, GivesTheTraceId) {
    const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    EXPECT_EQ(trace_id(good), "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_TRUE(trace_id("01" + good.substr(2) + "-more"));
    EXPECT_FALSE(trace_id(good + "-more"));
    EXPECT_FALSE(trace_id("ff" + good.substr(2)));
    EXPECT_FALSE(trace_id("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    EXPECT_FALSE(trace_id("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
    EXPECT_FALSE(trace_id("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    EXPECT_FALSE(trace_id(""));
    EXPECT_FALSE(trace_id(std::string(55, '-')));
}

TEST(CorrelationId, Characters) {
    EXPECT_TRUE(is_correlation_id("req-1.A_b"));
    EXPECT_FALSE(is_correlation_id(""));
    EXPECT_FALSE(is_correlation_id("a b"));
    EXPECT_FALSE(is_correlation_id("a\n"));
    EXPECT_FALSE(is_correlation_id(std::string(129, 'a')));
}

TEST(UserAgent, IsCutAndCleaned) {
    EXPECT_EQ(clean_user_agent("a\r\nb\x7f"), "ab");
    const std::string cut = clean_user_agent(std::string(511, 'a') + "\xc3\xa9");
    EXPECT_EQ(cut, std::string(511, 'a'));
}

TEST(IfNoneMatch, ComparesWeakly) {
    EXPECT_TRUE(names_tag("\"1\", \"2\"", "\"2\""));
    EXPECT_TRUE(names_tag(" * ", "\"2\""));
    EXPECT_TRUE(names_tag("W/\"2\"", "\"2\""));
    EXPECT_TRUE(names_tag(",, \"a,b\" ,W/\"2\",", "\"2\""));
    for (const char *const other : {"\"22\"", "", "2", "\"1\" \"2\"", "\"2", "w/\"2\"", "\"x,\"2\"", "\" 2\", \"2\""})
        EXPECT_FALSE(names_tag(other, "\"2\"")) << other;
}

TEST(Basic, IsUserAndPassword) {
    const auto basic = parse_basic("bAsIc dXNlcjpwYTpzcw==");
    ASSERT_TRUE(basic);
    EXPECT_EQ(basic->user, "user");
    EXPECT_EQ(basic->password, "pa:ss");
    for (const char *const bad :
         {"", "Basic", "Basic dXNlcg==", "Basic !!", "Bearer dXNlcjpwYTpzcw==", "Basic dXNlcjpwYTpzcw"})
        EXPECT_FALSE(parse_basic(bad)) << bad;
}

TEST(Cookie, IsFoundByItsWholeName) {
    EXPECT_EQ(cookie("a=1; bb=2;c=\"3\"", "bb"), "2");
    EXPECT_EQ(cookie("a=1; bb=2;c=\"3\"", "c"), "3");
    EXPECT_EQ(cookie("a=1; b=", "b"), "");
    EXPECT_FALSE(cookie("bb=2; xb=1", "b"));
    EXPECT_FALSE(cookie("", "b"));
}

TEST(Precondition, IfMatchComparesStrongly) {
    using Kind = Precondition::Kind;
    const auto versions = [](const char *header) { return parse_precondition(header, "").versions; };
    EXPECT_EQ(parse_precondition("", "").kind, Kind::none);
    EXPECT_EQ(parse_precondition(" * ", "").kind, Kind::any);
    EXPECT_EQ(versions("\"7\""), std::vector<std::string>{"7"});
    EXPECT_EQ(versions("\"7\", \"a,b\",,\"0\""), (std::vector<std::string>{"7", "0"}));
    for (const char *const other : {"W/\"7\"", "\"04\"", "\"\"", "\"abc\"", "\"-1\"", "\"1234567890\"", "\"1.0\""}) {
        EXPECT_EQ(parse_precondition(other, "").kind, Kind::versions) << other;
        EXPECT_TRUE(versions(other).empty()) << other;
    }
    for (const char *const bad : {"7", "\"7", "\"7\" \"8\"", "\"", ",", "*, \"7\"", "\"7\", 8", "\"7 \""})
        EXPECT_EQ(parse_precondition(bad, "").kind, Kind::malformed) << bad;
    EXPECT_EQ(parse_precondition("\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"", "").versions.size(), 8u);
    EXPECT_EQ(parse_precondition("\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"", "").kind, Kind::malformed);
}

TEST(Precondition, IfNoneMatchOfAWriteIsAStar) {
    using Kind = Precondition::Kind;
    EXPECT_EQ(parse_precondition("", "*").kind, Kind::absent);
    EXPECT_EQ(parse_precondition("", "\"7\"").kind, Kind::malformed);
    EXPECT_EQ(parse_precondition("\"7\"", "*").kind, Kind::malformed);
}

TEST(ContentType, IsJson) {
    for (const char *const good : {"application/json", "Application/JSON ; charset=utf-8",
                                   "application/merge-patch+json", "application/vnd.x+JSON;a=b"})
        EXPECT_TRUE(is_json_type(good)) << good;
    for (const char *const bad :
         {"", "text/json", "application/jsonx", "application/+json", "application/json+xml", "json"})
        EXPECT_FALSE(is_json_type(bad)) << bad;
}

TEST(IdempotencyKey, IsVisibleAscii) {
    EXPECT_EQ(idempotency_key("\"abc\""), "abc");
    EXPECT_EQ(idempotency_key("abc"), "abc");
    EXPECT_TRUE(idempotency_key(std::string(255, 'x')));
    for (const std::string &bad :
         {std::string(), std::string(256, 'x'), std::string("a b"), std::string("\"\""), std::string("\xc3\xa4")})
        EXPECT_FALSE(idempotency_key(bad)) << bad;
}
