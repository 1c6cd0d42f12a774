#include "usher/http/route.hpp"
#include <gtest/gtest.h>

using namespace usher::route;

namespace {
Template path(std::string_view text) {
    std::string error;
    const auto parsed = parse_template(text, error);
    EXPECT_TRUE(parsed) << text << ": " << error;
    return parsed.value_or(Template{});
}
bool refused(std::string_view text) {
    std::string error;
    return !parse_template(text, error) && !error.empty();
}
Table example() {
    Table table;
    table.add("GET", path("/bookings"), 1);
    table.add("POST", path("/bookings"), 2);
    table.add("GET", path("/bookings/{booking_id}"), 3);
    table.add("POST", path("/bookings/{booking_id}/confirm"), 4);
    table.add("POST", path("/bookings/import"), 5);
    table.add("GET", path("/"), 6);
    table.add("GET", path("/a/{x}/c"), 7);
    table.add("GET", path("/a/b/{y}"), 8);
    return table;
}
Match find(std::string_view method, std::string_view text) { return example().find(method, split_path(text).value()); }
} // namespace

TEST(RouteTemplate, Shape) {
    EXPECT_EQ(shape(path("/")), "/");
    EXPECT_EQ(shape(path("/bookings/{booking_id}/confirm")), "/bookings/{}/confirm");
    EXPECT_EQ(shape(path("/.well-known/jwks.json")), "/.well-known/jwks.json");
}

TEST(RouteTemplate, RefusesWhatIsNone) {
    for (const char *text : {"", "a", "//", "/a/", "/a//b", "/{}", "/{A}", "/{1a}", "/x{a}", "/{a}x", "/{a", "/a}",
                             "/a b", "/%41", "/..", "/.", "/{a}/{a}", "/ü"})
        EXPECT_TRUE(refused(text)) << text;
    EXPECT_TRUE(refused(std::string(3000, '/')));
    std::string deep;
    for (int i = 0; i < 33; ++i) deep += "/a";
    EXPECT_TRUE(refused(deep));
}

TEST(RouteTable, FindsByMethodAndPath) {
    EXPECT_EQ(find("GET", "/bookings").route, 1u);
    EXPECT_EQ(find("POST", "/bookings").route, 2u);
    EXPECT_EQ(find("GET", "/bookings/5").route, 3u);
    EXPECT_EQ(find("POST", "/bookings/5/confirm").route, 4u);
    EXPECT_EQ(find("GET", "/").route, 6u);
    EXPECT_FALSE(find("GET", "/booking").path_exists());
    EXPECT_FALSE(find("GET", "/bookings/5/6").path_exists());
    EXPECT_FALSE(find("GET", "/Bookings").path_exists());
}

TEST(RouteTable, LiteralWinsUnlessTheMethodDoesNotFit) {
    EXPECT_EQ(find("POST", "/bookings/import").route, 5u);
    EXPECT_EQ(find("GET", "/bookings/import").route, 3u);
    EXPECT_EQ(find("GET", "/a/b/c").route, 8u);
    EXPECT_EQ(find("GET", "/a/x/c").route, 7u);
}

TEST(RouteTable, ParameterWithASuffix) {
    Table table;
    table.add("GET", path("/bookings/{booking_id}"), 1);
    table.add("GET", path("/bookings/{booking_id}.ics"), 2);
    table.add("POST", path("/bookings/{booking_id}/confirm"), 3);
    const auto route = [&](std::string_view text) { return table.find("GET", split_path(text).value()).route; };
    EXPECT_EQ(route("/bookings/7"), 1U);
    EXPECT_EQ(route("/bookings/7.ics"), 2U);
    EXPECT_EQ(route("/bookings/.ics"), 1U); // nothing is left of the parameter
    EXPECT_EQ(route("/bookings/7.ics.txt"), 1U);
    const Template with_suffix = path("/bookings/{booking_id}.ics");
    EXPECT_EQ(shape(with_suffix), "/bookings/{}.ics");
    EXPECT_EQ(with_suffix[1].text, "booking_id");
    EXPECT_EQ(with_suffix[1].value("7.ics"), "7");
    for (const char *text : {"/{a}.", "/{a}b", "/{a}.{b}", "/{a}.x y", "/x{a}.y"}) EXPECT_TRUE(refused(text)) << text;
}

TEST(RouteTable, HeadIsGetAndASlashAtTheEndMakesNoDifference) {
    EXPECT_EQ(find("HEAD", "/bookings").route, 1u);
    EXPECT_EQ(find("GET", "/bookings/").route, 1u);
    EXPECT_FALSE(find("GET", "/bookings//").path_exists());
    EXPECT_FALSE(find("GET", "//bookings").path_exists());
}

TEST(RouteTable, SaysWhatIsAllowed) {
    const Match match = find("DELETE", "/bookings");
    EXPECT_FALSE(match.route);
    EXPECT_EQ(match.allow, (std::vector<std::string>{"GET", "HEAD", "OPTIONS", "POST"}));
    EXPECT_EQ(find("PUT", "/bookings/import").allow, (std::vector<std::string>{"GET", "HEAD", "OPTIONS", "POST"}));
}

TEST(RoutePath, DecodesOnceAndStrictly) {
    EXPECT_EQ(split_path("/a%20b/%2525").value(), (std::vector<std::string>{"a b", "%25"}));
    EXPECT_EQ(split_path("/a%2Fb").value(), (std::vector<std::string>{"a/b"}));
    for (const char *bad : {"", "a", "/%", "/%4", "/%zz", "/%00", "/%ff", "/%c0%80"})
        EXPECT_FALSE(split_path(bad)) << bad;
    EXPECT_FALSE(split_path("/" + std::string(2048, 'a')));
}

TEST(RouteQuery, Parses) {
    const auto all = parse_query("a=1&b=x+y&c=%2B&&d&a=2=3").value();
    ASSERT_EQ(all.size(), 5u);
    EXPECT_EQ(all[1].value, "x y");
    EXPECT_EQ(all[2].value, "+");
    EXPECT_EQ(all[3].name, "d");
    EXPECT_EQ(all[3].value, "");
    EXPECT_EQ(all[4].value, "2=3");
    EXPECT_TRUE(parse_query("").value().empty());
}

TEST(RouteQuery, RefusesBrokenOrHugeOnes) {
    for (const char *bad : {"a=%", "%zz=1", "=1", "a=%00", "a=%ff"}) EXPECT_FALSE(parse_query(bad)) << bad;
    EXPECT_FALSE(parse_query("a=" + std::string(9000, 'x')));
    std::string many;
    for (int i = 0; i < 101; ++i) many += "a=1&";
    EXPECT_FALSE(parse_query(many));
}

TEST(RouteMethods, Known) {
    EXPECT_TRUE(is_route_method("PATCH"));
    EXPECT_FALSE(is_route_method("HEAD"));
    EXPECT_TRUE(is_known_method("OPTIONS"));
    EXPECT_FALSE(is_known_method("get"));
    EXPECT_FALSE(is_known_method("TRACE"));
}
