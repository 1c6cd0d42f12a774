// Permission names, matching, scopes, expiry and the order of decision.
#include "usher/access/permission.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher::permission;
using usher::Instant;

constexpr Instant now = 1'000'000;

Rule rule(std::string_view pattern, Effect effect = Effect::allow, std::optional<std::string> scope = {},
          Source source = Source::role, Instant expires_at = never) {
    const Name name = parse(pattern).value();
    return {std::string(name.resource), std::string(name.action), std::move(scope), effect, source, expires_at};
}

Decision decide(std::vector<Rule> rules, std::string_view request, std::optional<std::string_view> scope = {}) {
    return RuleSet(std::move(rules)).decide(parse(request).value(), scope, now);
}

TEST(PermissionName, TakesResourceAndActionApart) {
    EXPECT_EQ(parse("booking:read"), (Name{"booking", "read"}));
    EXPECT_EQ(parse("work_order.line:re-open"), (Name{"work_order.line", "re-open"}));
}

TEST(PermissionName, KnowsTwoWildcards) {
    EXPECT_EQ(parse("booking:*"), (Name{"booking", "*"}));
    EXPECT_EQ(parse("*:*"), (Name{"*", "*"}));
}

TEST(PermissionName, RefusesEverythingElse) {
    for (const char *bad : {"", ":", "booking", "booking:", ":read", "*:read", "booking:read:all", "Booking:read",
                            "booking :read", "boo*:read", "booking:re*", "-a:b", "a:b\n", "*", "b\xc3\xbc:x"})
        EXPECT_FALSE(parse(bad)) << bad;
    EXPECT_FALSE(parse(std::string("a:b\0", 4)));
    EXPECT_TRUE(parse("a:" + std::string(max_length - 2, 'b')));
    EXPECT_FALSE(parse("a:" + std::string(max_length - 1, 'b')));
}

TEST(PermissionMatch, WildcardCoversItsActions) {
    EXPECT_TRUE(covers({"booking", "*"}, {"booking", "read"}));
    EXPECT_FALSE(covers({"booking", "*"}, {"bookings", "read"}));
    EXPECT_TRUE(covers({"*", "*"}, {"booking", "read"}));
    EXPECT_FALSE(covers({"booking", "read"}, {"booking", "*"}));
}

TEST(PermissionMatch, TouchesWorksBothWays) {
    EXPECT_TRUE(touches({"booking", "delete"}, {"booking", "*"}));
    EXPECT_TRUE(touches({"booking", "delete"}, {"*", "*"}));
    EXPECT_FALSE(touches({"booking", "delete"}, {"user", "*"}));
}

TEST(PermissionDecision, NoRulesMeansNo) {
    const Decision d = decide({}, "booking:read");
    EXPECT_FALSE(d.allowed);
    EXPECT_EQ(d.via, Via::nothing);
}

TEST(PermissionDecision, DenyWinsOverEverything) {
    const Decision d = decide({rule("*:*"), rule("booking:read", Effect::allow, {}, Source::direct),
                               rule("booking:*", Effect::deny, {}, Source::policy)},
                              "booking:read");
    EXPECT_FALSE(d.allowed);
    EXPECT_EQ(d.via, Via::deny);
}

TEST(PermissionDecision, RolesComeBeforeDirectGrantsBeforePolicies) {
    const Rule role = rule("booking:read");
    const Rule direct = rule("booking:read", Effect::allow, {}, Source::direct);
    const Rule policy = rule("booking:read", Effect::allow, {}, Source::policy);
    EXPECT_EQ(decide({policy, direct, role}, "booking:read").via, Via::role);
    EXPECT_EQ(decide({policy, direct}, "booking:read").via, Via::direct);
    EXPECT_EQ(decide({policy}, "booking:read").via, Via::policy);
}

TEST(PermissionDecision, ScopedRuleCountsForItsScopeOnly) {
    const std::vector<Rule> rules{rule("booking:read", Effect::allow, "north")};
    EXPECT_TRUE(decide(rules, "booking:read", "north").allowed);
    EXPECT_FALSE(decide(rules, "booking:read", "south").allowed);
    EXPECT_FALSE(decide(rules, "booking:read").allowed);
}

TEST(PermissionDecision, ScopedDenyLeavesOtherScopesAlone) {
    const std::vector<Rule> rules{rule("booking:read"), rule("booking:read", Effect::deny, "north")};
    EXPECT_FALSE(decide(rules, "booking:read", "north").allowed);
    EXPECT_TRUE(decide(rules, "booking:read", "south").allowed);
    EXPECT_TRUE(decide(rules, "booking:read").allowed);
}

TEST(PermissionDecision, UuidScopesIgnoreCase) {
    const std::vector<Rule> rules{rule("a:b", Effect::allow, "0190B1C2-0000-7000-8000-00000000000A")};
    EXPECT_TRUE(decide(rules, "a:b", "0190b1c2-0000-7000-8000-00000000000a").allowed);
    EXPECT_FALSE(decide(rules, "a:b", "0190b1c2-0000-7000-8000-00000000000b").allowed);
}

TEST(PermissionDecision, EndsAtTheInstantOfExpiry) {
    EXPECT_TRUE(decide({rule("a:b", Effect::allow, {}, Source::direct, now + 1)}, "a:b").allowed);
    EXPECT_FALSE(decide({rule("a:b", Effect::allow, {}, Source::direct, now)}, "a:b").allowed);
    EXPECT_TRUE(decide({rule("a:b"), rule("a:b", Effect::deny, {}, Source::direct, now)}, "a:b").allowed);
}

TEST(PermissionDecision, ReportsTheLongestLivedRuleOfTheStep) {
    const Decision d = decide(
        {rule("a:b", Effect::allow, {}, Source::role, now + 5), rule("a:*", Effect::allow, {}, Source::role, now + 9)},
        "a:b");
    EXPECT_EQ(d.expires_at, now + 9);
}

TEST(PermissionDecision, DenyOfOneActionRefusesTheWildcard) {
    EXPECT_FALSE(decide({rule("*:*"), rule("booking:delete", Effect::deny)}, "booking:*").allowed);
    EXPECT_FALSE(decide({rule("*:*"), rule("booking:delete", Effect::deny)}, "*:*").allowed);
    EXPECT_TRUE(decide({rule("*:*"), rule("booking:delete", Effect::deny)}, "booking:read").allowed);
}

TEST(PermissionWindows, OpenSomewhereFindsAScopedGrant) {
    const RuleSet rules({rule("a:b", Effect::allow, "north"), rule("a:c")});
    EXPECT_TRUE(rules.windows({"a", "b"}).open_somewhere(now));
    EXPECT_TRUE(rules.windows({"a", "c"}).open_somewhere(now));
    EXPECT_FALSE(rules.windows({"a", "d"}).open_somewhere(now));
}

TEST(PermissionWindows, OpenSomewhereHonoursDeny) {
    const RuleSet denied({rule("a:b", Effect::allow, "north"), rule("a:b", Effect::deny)});
    EXPECT_FALSE(denied.windows({"a", "b"}).open_somewhere(now));
    const RuleSet elsewhere({rule("a:b", Effect::allow, "north"), rule("a:b", Effect::deny, "south")});
    EXPECT_TRUE(elsewhere.windows({"a", "b"}).open_somewhere(now));
}

TEST(PermissionWindows, NeedNoClockWithoutExpiry) {
    const RuleSet rules({rule("a:b"), rule("a:c", Effect::allow, {}, Source::role, now + 1)});
    EXPECT_TRUE(rules.windows({"a", "b"}).everywhere().timeless());
    EXPECT_FALSE(rules.windows({"a", "c"}).everywhere().timeless());
}

// The windows answer must be the decision's answer, whatever the rules: compared over generated rule sets.
TEST(PermissionWindows, AgreeWithDecide) {
    const std::array<const char *, 6> names{"a:b", "a:c", "a:*", "d:b", "d:*", "*:*"};
    const std::array<std::optional<std::string>, 4> scopes{std::nullopt, "north", "south",
                                                           "0190b1c2-0000-7000-8000-00000000000a"};
    const std::array<Instant, 3> ends{never, now, now + 1};
    std::uint32_t state = 20240817; // a fixed seed: the run is the same each time
    const auto pick = [&](std::size_t n) {
        state = state * 1664525u + 1013904223u;
        return (state >> 16) % n;
    };
    for (int world = 0; world < 2000; ++world) {
        std::vector<Rule> rules;
        for (std::size_t i = pick(6); i > 0; --i)
            rules.push_back(rule(names[pick(6)], pick(4) == 0 ? Effect::deny : Effect::allow, scopes[pick(4)],
                                 static_cast<Source>(pick(3)), ends[pick(3)]));
        const RuleSet set(rules);
        for (const char *request : names)
            for (const auto &scope : scopes) {
                const Windows windows = set.windows(parse(request).value());
                const Window window = scope ? windows.at(*scope) : windows.everywhere();
                const auto asked = scope ? std::optional<std::string_view>(*scope) : std::nullopt;
                ASSERT_EQ(window.open(now), set.decide(parse(request).value(), asked, now).allowed)
                    << "world " << world << ", " << request << " at " << scope.value_or("(everywhere)");
            }
    }
}

} // namespace
