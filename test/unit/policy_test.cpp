// Policy models: the examples that Casbin ships with, the matching functions, and expressions.
#include "common/error.hpp"
#include "usher/access/policy.hpp"
#include "usher/access/policy_csv.hpp"
#include "usher/access/policy_match.hpp"
#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <regex>

namespace {

using namespace usher::policy;

/// Rows in memory, found the slow way.
struct MemoryStore : Store {
    std::vector<std::vector<std::string>> p, p2, g;
    std::size_t fetched = 0;

    std::vector<Columns> rows(std::string_view ptype, const std::vector<Constraint> &constraints) override {
        std::vector<Columns> out;
        for (const auto &row : ptype == "p2" ? p2 : p) {
            Columns columns;
            std::copy(row.begin(), row.end(), columns.begin());
            const bool meets = std::all_of(constraints.begin(), constraints.end(), [&](const Constraint &c) {
                return std::find(c.any_of.begin(), c.any_of.end(), columns[c.column]) != c.any_of.end();
            });
            if (meets) out.push_back(columns);
        }
        fetched += out.size();
        return out;
    }
    bool has_rows(std::string_view ptype) override { return !(ptype == "p2" ? p2 : p).empty(); }
    static std::string domain_of(const std::vector<std::string> &row) { return row.size() > 2 ? row[2] : ""; }
    std::vector<std::string> domains(std::string_view) override {
        std::vector<std::string> out;
        for (const auto &row : g) out.push_back(domain_of(row));
        return out;
    }
    std::vector<std::string> groups(std::string_view, const std::string &member,
                                    const std::optional<std::vector<std::string>> &domains) override {
        std::vector<std::string> out{member};
        for (std::size_t i = 0; i < out.size(); ++i)
            for (const auto &row : g)
                if (row[0] == out[i] &&
                    (!domains || std::find(domains->begin(), domains->end(), domain_of(row)) != domains->end()) &&
                    std::find(out.begin(), out.end(), row[1]) == out.end())
                    out.push_back(row[1]);
        return out;
    }
    bool regex_match(std::string_view text, const std::string &pattern) override {
        return std::regex_search(text.begin(), text.end(), std::regex(pattern));
    }
};

Model acl(const std::string &matcher = "r.sub == p.sub && r.obj == p.obj && r.act == p.act",
          const std::string &effect = "some(where (p.eft == allow))", const std::string &policy = "sub, obj, act",
          const std::string &roles = "g = _, _") {
    return parse_model("[request_definition]\nr = sub, obj, act\n[policy_definition]\np = " + policy +
                       "\n[role_definition]\n" + roles + "\n[policy_effect]\ne = " + effect +
                       "\n[matchers]\nm = " + matcher + "\n");
}

TEST(PolicyAcl, AllowsWhatARowSays) {
    MemoryStore store;
    store.p = {{"alice", "data1", "read"}, {"bob", "data2", "write"}};
    EXPECT_TRUE(enforce(acl(), {"alice", "data1", "read"}, store));
    EXPECT_FALSE(enforce(acl(), {"alice", "data1", "write"}, store));
    EXPECT_TRUE(enforce(acl(), {"bob", "data2", "write"}, store));
}

TEST(PolicyAcl, FetchesOnlyRowsThatCanMatch) {
    MemoryStore store;
    for (int i = 0; i < 1000; ++i) store.p.push_back({"user" + std::to_string(i), "data", "read"});
    EXPECT_TRUE(enforce(acl(), {"user500", "data", "read"}, store));
    EXPECT_EQ(store.fetched, 1u);
}

TEST(PolicyAcl, SuperuserNeedsNoRow) {
    MemoryStore store;
    const Model model = acl("r.sub == p.sub && r.obj == p.obj && r.act == p.act || r.sub == \"root\"");
    EXPECT_TRUE(enforce(model, {"root", "anything", "erase"}, store));
    EXPECT_FALSE(enforce(model, {"alice", "anything", "erase"}, store));
}

TEST(PolicyAcl, WithoutUsersOrResources) {
    MemoryStore store;
    store.p = {{"data1", "read"}};
    const Model model = parse_model(
        R"json({"r": "obj, act", "p": "obj, act", "e": "some(where (p.eft == allow))", "m": "r.obj == p.obj && r.act == p.act"})json");
    EXPECT_TRUE(enforce(model, {"data1", "read"}, store));
    EXPECT_FALSE(enforce(model, {"data2", "read"}, store));
}

TEST(PolicyRbac, RolesInheritFromRoles) {
    MemoryStore store;
    store.p = {{"admin", "data1", "write"}, {"reader", "data1", "read"}};
    store.g = {{"alice", "admin"}, {"admin", "reader"}};
    const Model model = acl("g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act");
    EXPECT_TRUE(enforce(model, {"alice", "data1", "read"}, store));
    EXPECT_TRUE(enforce(model, {"alice", "data1", "write"}, store));
    EXPECT_FALSE(enforce(model, {"bob", "data1", "read"}, store));
}

TEST(PolicyRbac, ResourceRoles) {
    MemoryStore store;
    store.p = {{"alice", "data_group", "write"}};
    store.g = {{"data1", "data_group"}};
    const Model model = acl("g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act", "some(where (p.eft == allow))",
                            "sub, obj, act", "g = _, _\ng2 = _, _");
    EXPECT_TRUE(enforce(model, {"alice", "data1", "write"}, store));
    EXPECT_FALSE(enforce(model, {"alice", "data2", "write"}, store));
}

TEST(PolicyRbac, RolesHoldInTheirDomain) {
    MemoryStore store;
    store.p = {{"admin", "tenant1", "data1", "read"}, {"admin", "tenant2", "data2", "read"}};
    store.g = {{"alice", "admin", "tenant1"}};
    const Model model =
        parse_model("r = sub, dom, obj, act\np = sub, dom, obj, act\ng = _, _, _\ne = some(where (p.eft == allow))\n"
                    "m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act");
    EXPECT_TRUE(enforce(model, {"alice", "tenant1", "data1", "read"}, store));
    EXPECT_FALSE(enforce(model, {"alice", "tenant2", "data2", "read"}, store));
}

// What a row has beyond the places of its role function is not read.
TEST(PolicyRbac, RowsMayHaveMoreValuesThanPlaces) {
    MemoryStore store;
    store.p = {{"admin", "data1", "read"}};
    store.g = {{"alice", "admin", "2026-01-01"}};
    EXPECT_TRUE(enforce(acl("g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"), {"alice", "data1", "read"}, store));
}

TEST(PolicyRbac, DomainsOfRolesMayBePatterns) {
    MemoryStore store;
    store.p = {{"admin", "data1"}, {"reader", "data2"}};
    store.g = {{"alice", "admin", "*"},
               {"bob", "admin", "domain*"},
               {"carol", "boss", "domain1"},
               {"boss", "admin", "domain*"},
               {"dave", "admin", "domain1"}};
    const std::string text = "r = sub, dom, obj\np = sub, obj\ng = _, _, _\ne = some(where (p.eft == allow))\n"
                             "m = g(r.sub, p.sub, r.dom) && r.obj == p.obj\n";
    const Model plain = parse_model(text), pattern = parse_model(text + "g_domains = keyMatch\n");
    const auto who = [&](const Model &model, const std::string &domain) {
        std::string all;
        for (const char *each : {"alice", "bob", "carol", "dave"})
            if (enforce(model, {each, domain, "data1"}, store)) all += std::string(each) + " ";
        return all;
    };
    EXPECT_EQ(who(plain, "domain1"), "dave ");
    EXPECT_EQ(who(plain, "*"), "alice ");
    EXPECT_EQ(who(pattern, "domain1"), "alice bob carol dave ");
    EXPECT_EQ(who(pattern, "domain2"), "alice bob ");
    EXPECT_EQ(who(pattern, "other"), "alice ");
    EXPECT_FALSE(enforce(pattern, {"alice", "domain1", "data2"}, store));
    for (const char *wrong :
         {"g_domains = nothing", "g_domains = eval", "g2_domains = keyMatch", "p_domains = keyMatch"})
        EXPECT_THROW(parse_model(text + wrong + "\n"), usher::Error) << wrong;
    EXPECT_THROW(parse_model("r = sub\np = sub\ng = _, _\ng_domains = keyMatch\ne = some(where (p.eft == allow))\n"
                             "m = g(r.sub, p.sub)\n"),
                 usher::Error);
}

// As the reference implementation: a matcher that is not about rows is asked once, and so is any where there are none.
TEST(PolicyMatcher, HoldsWithoutRows) {
    for (const char *effect :
         {"some(where (p.eft == allow))", "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
          "priority(p.eft) || deny", "subjectPriority(p.eft) || deny"}) {
        const Model root = acl("r.sub == \"root\"", effect, "sub, obj, act, eft");
        MemoryStore store;
        for (int rows = 0; rows < 2; ++rows) {
            EXPECT_TRUE(enforce(root, {"root", "data1", "read"}, store)) << effect;
            EXPECT_FALSE(enforce(root, {"alice", "data1", "read"}, store)) << effect;
            store.p = {{"root", "data1", "read", "deny"}, {"alice", "data1", "read", "allow"}};
        }
    }
    MemoryStore store;
    EXPECT_TRUE(enforce(acl("r.sub == \"root\"", "!some(where (p.eft == deny))"), {"alice", "data1", "read"}, store));
    EXPECT_TRUE(enforce(acl("r.sub != p.sub"), {"alice", "data1", "read"}, store)); // every column is empty
    EXPECT_FALSE(enforce(acl("eval(p.sub)"), {"alice", "data1", "read"}, store));
    EXPECT_TRUE(enforce(acl("eval(p.sub) || r.sub == \"root\""), {"root", "data1", "read"}, store));
    store.p = {{"alice", "data1", "read"}};
    EXPECT_FALSE(enforce(acl("r.sub != p.sub"), {"alice", "data1", "read"}, store));
}

TEST(PolicyModel, HasContexts) {
    MemoryStore store;
    store.p = {{"alice", "data1", "read"}};
    store.p2 = {{"adult", "data2"}};
    const std::string text =
        "r = sub, obj, act\nr2 = sub, obj, one, two, three, four, five\np = sub, obj, act\np2 = kind, obj, eft\n"
        "e = some(where (p.eft == allow))\ne2 = !some(where (p2.eft == deny))\n"
        "m = r.sub == p.sub && r.obj == p.obj && r.act == p.act\nm2 = r2.five == \"5\" && r2.obj == p2.obj && p2.eft "
        "== \"deny\"\n";
    EXPECT_TRUE(enforce(parse_model(text), {"alice", "data1", "read"}, store));
    const Model second = parse_model(text, "2");
    EXPECT_TRUE(enforce(second, {"alice", "data2", "1", "2", "3", "4", "5"}, store));
    store.p2 = {{"adult", "data2", "deny"}};
    EXPECT_FALSE(enforce(second, {"alice", "data2", "1", "2", "3", "4", "5"}, store));
    EXPECT_TRUE(enforce(second, {"alice", "data1", "1", "2", "3", "4", "5"}, store));
    EXPECT_NO_THROW(check_model(text));
    EXPECT_THROW(parse_model(text, "3"), usher::Error);
    EXPECT_THROW(parse_model(text, "x"), usher::Error);
    EXPECT_THROW(check_model(text + "m3 = true\n"), usher::Error);
    EXPECT_THROW(check_model("r = sub\nr2 = sub\np = sub\np2 = sub\ne = some(where (p.eft == allow))\n"
                             "e2 = some(where (p2.eft == allow))\nm = r.sub == p.sub\nm2 = r.sub == p2.sub\n"),
                 usher::Error);
}

TEST(PolicyEffect, DenyOverrides) {
    MemoryStore store;
    store.p = {{"admin", "data1", "read", "allow"}, {"alice", "data1", "read", "deny"}};
    store.g = {{"alice", "admin"}, {"bob", "admin"}};
    const char *const matcher = "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act";
    const Model both =
        acl(matcher, "some(where (p.eft == allow)) && !some(where (p.eft == deny))", "sub, obj, act, eft");
    EXPECT_FALSE(enforce(both, {"alice", "data1", "read"}, store));
    EXPECT_TRUE(enforce(both, {"bob", "data1", "read"}, store));
    EXPECT_FALSE(enforce(both, {"bob", "data2", "read"}, store));
    const Model only_deny = acl(matcher, "!some(where (p.eft == deny))", "sub, obj, act, eft");
    EXPECT_TRUE(enforce(only_deny, {"bob", "data2", "read"}, store));
    EXPECT_FALSE(enforce(only_deny, {"alice", "data1", "read"}, store));
}

TEST(PolicyEffect, PriorityTakesTheFirstMatch) {
    MemoryStore store;
    store.p = {{"20", "alice", "data1", "read", "deny"}, {"3", "admin", "data1", "read", "allow"}};
    store.g = {{"alice", "admin"}};
    const Model model = acl("g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act", "priority(p.eft) || deny",
                            "priority, sub, obj, act, eft");
    EXPECT_TRUE(enforce(model, {"alice", "data1", "read"}, store));
    store.p[1][0] = "30";
    EXPECT_FALSE(enforce(model, {"alice", "data1", "read"}, store));
}

TEST(PolicyEffect, SubjectPriorityTakesTheNearest) {
    MemoryStore store;
    store.p = {{"admin", "data1", "read", "deny"}, {"alice", "data1", "read", "allow"}};
    store.g = {{"alice", "admin"}};
    const Model model = acl("g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act", "subjectPriority(p.eft) || deny",
                            "sub, obj, act, eft");
    EXPECT_TRUE(enforce(model, {"alice", "data1", "read"}, store));
    EXPECT_FALSE(enforce(model, {"admin", "data1", "read"}, store));
}

TEST(PolicyPattern, KeyMatchAndRegexMatch) {
    MemoryStore store;
    store.p = {{"alice", "/alice/*", "GET|POST"}, {"bob", "/users/:id/edit", "PUT"}};
    const Model first = acl("r.sub == p.sub && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)");
    EXPECT_TRUE(enforce(first, {"alice", "/alice/1/2", "POST"}, store));
    EXPECT_FALSE(enforce(first, {"alice", "/bob/1", "POST"}, store));
    const Model second = acl("r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act");
    EXPECT_TRUE(enforce(second, {"bob", "/users/7/edit", "PUT"}, store));
    EXPECT_FALSE(enforce(second, {"bob", "/users/7/8/edit", "PUT"}, store));
}

TEST(PolicyAttributes, OfSubjectAndObject) {
    MemoryStore store;
    store.p = {{"x", "y", "z"}};
    const Model owner = acl("r.sub == r.obj.Owner");
    EXPECT_TRUE(enforce(owner, {"alice", R"({"Owner": "alice"})", "read"}, store));
    EXPECT_FALSE(enforce(owner, {"bob", R"({"Owner": "alice"})", "read"}, store));
    EXPECT_FALSE(enforce(owner, {"bob", R"({})", "read"}, store));
}

TEST(PolicyAttributes, RulesInRows) {
    MemoryStore store;
    store.p = {{"r.sub.Age > 18 && r.sub.Age < 60", "/data1", "read"}};
    const Model model = acl("eval(p.sub_rule) && r.obj == p.obj && r.act == p.act", "some(where (p.eft == allow))",
                            "sub_rule, obj, act");
    EXPECT_TRUE(enforce(model, {R"({"Age": 30})", "/data1", "read"}, store));
    EXPECT_FALSE(enforce(model, {R"({"Age": 70})", "/data1", "read"}, store));
    EXPECT_FALSE(enforce(model, {R"({"Name": "x"})", "/data1", "read"}, store));
}

TEST(PolicyExpression, InAndArithmetic) {
    MemoryStore store;
    store.p = {{"a", "b", "c"}};
    EXPECT_TRUE(enforce(acl("r.act in ('read', 'write')"), {"a", "b", "write"}, store));
    EXPECT_FALSE(enforce(acl("r.act in ('read', 'write')"), {"a", "b", "erase"}, store));
    EXPECT_TRUE(enforce(acl("r.act in ('write')"), {"a", "b", "write"}, store));
    EXPECT_TRUE(enforce(acl("2 * (r.sub.n + 1) >= 10 && !(r.sub.n != 4)"), {R"({"n": 4})", "b", "c"}, store));
}

TEST(PolicyModel, SaysWhatIsWrong) {
    const auto refused = [](const std::string &text) {
        try {
            parse_model(text);
        } catch (const usher::Error &error) {
            EXPECT_EQ(error.sqlstate(), "22023");
            return true;
        }
        return false;
    };
    EXPECT_TRUE(refused(""));
    EXPECT_TRUE(refused("{"));
    EXPECT_TRUE(refused("r = sub\np = sub\ne = some(where (p.eft == allow))")); // no matcher
    const std::string head = "r = sub\np = sub\ne = some(where (p.eft == allow))\nm = ";
    EXPECT_FALSE(refused(head + "r.sub == p.sub"));
    EXPECT_TRUE(refused(head + "r.sub == p.obj"));
    EXPECT_TRUE(refused(head + "r.sub == "));
    EXPECT_TRUE(refused(head + "nothing(r.sub)"));
    EXPECT_TRUE(refused(head + "keyMatch(r.sub)"));
    EXPECT_TRUE(refused(head + "'open"));
    EXPECT_TRUE(refused(head + std::string(100000, '(')));
    EXPECT_TRUE(refused(head + std::string(60000, '!') + "r.sub"));
    EXPECT_TRUE(refused("r = sub, sub\np = sub\ne = some(where (p.eft == allow))\nm = true"));
    EXPECT_TRUE(refused("r = sub\np = sub\ne = anything\nm = true"));
}

TEST(PolicyModel, RefusesARequestOfAnotherLength) {
    MemoryStore store;
    EXPECT_THROW(enforce(acl(), {"alice"}, store), usher::Error);
}

TEST(PolicyMatch, KeyMatch) {
    EXPECT_TRUE(key_match("/foo/bar", "/foo/*"));
    EXPECT_TRUE(key_match("/foo", "/foo*"));
    EXPECT_FALSE(key_match("/foo", "/foo/*"));
    EXPECT_FALSE(key_match("/foobar", "/foo"));
}

TEST(PolicyMatch, KeyMatchAsExpressions) {
    const auto matches = [](const std::string &key, const std::string &regex) {
        return std::regex_search(key, std::regex(regex));
    };
    EXPECT_TRUE(matches("/proxy/myid/res/res2", key_match2_regex("/proxy/:id/*")));
    EXPECT_FALSE(matches("/proxy/", key_match2_regex("/proxy/:id/*")));
    EXPECT_TRUE(matches("/resource1", key_match2_regex("/:resource")));
    EXPECT_TRUE(matches("/x", key_match2_regex("*")));
    EXPECT_TRUE(matches("/proxy/myid/res", key_match3_regex("/proxy/{id}/*")));
    EXPECT_FALSE(matches("/myid/using/myresid", key_match3_regex("/{id/using/{resId}")));
    EXPECT_TRUE(matches("/parent/1/child/1", key_match4_regex("/parent/{id}/child/{id}")));
    EXPECT_FALSE(matches("/parent/1/child/2", key_match4_regex("/parent/{id}/child/{id}")));
    EXPECT_TRUE(matches("/parent/1/child/2", key_match4_regex("/parent/{id}/child/{other}")));
    EXPECT_TRUE(matches(std::string(without_query("/foo/bar?status=1")), key_match5_regex("/foo/{name}")));
}

TEST(PolicyMatch, IpMatch) {
    EXPECT_TRUE(ip_match("192.168.2.123", "192.168.2.0/24"));
    EXPECT_FALSE(ip_match("192.168.3.123", "192.168.2.0/24"));
    EXPECT_TRUE(ip_match("10.0.0.11", "10.0.0.11"));
    EXPECT_TRUE(ip_match("10.200.0.1", "10.192.0.0/10"));
    EXPECT_FALSE(ip_match("10.100.0.1", "10.192.0.0/10"));
    EXPECT_TRUE(ip_match("2001:db8::1", "2001:db8::/32"));
    EXPECT_FALSE(ip_match("2001:db9::1", "2001:db8::/32"));
    EXPECT_TRUE(ip_match("1.2.3.4", "0.0.0.0/0"));
    for (const char *bad : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0", "::/129", "x"})
        EXPECT_FALSE(ip_match("10.0.0.0", bad)) << bad;
}

TEST(PolicyModel, CommentsAnywhereInALine) {
    const Model model = parse_model("r = sub # who\np = sub ; whom\ne = some(where (p.eft == allow))\n"
                                    "m = r.sub == p.sub # the same\n");
    EXPECT_EQ(model.request, std::vector<std::string>{"sub"});
}

TEST(PolicyMatch, GlobMatch) {
    EXPECT_TRUE(glob_match("/foo/bar", "/foo/*"));
    EXPECT_FALSE(glob_match("/foo/bar/baz", "/foo/*"));
    EXPECT_TRUE(glob_match("/prefix/sub/foo", "/*/*/foo"));
    EXPECT_TRUE(glob_match("/foobar", "/foo*"));
    EXPECT_TRUE(glob_match("/fxo", "/f?o"));
    EXPECT_FALSE(glob_match("/f/o", "/f?o"));
    EXPECT_TRUE(glob_match("a1", "a[0-9]"));
    EXPECT_FALSE(glob_match("ab", "a[0-9]"));
    EXPECT_TRUE(glob_match("ab", "a[^0-9]"));
    EXPECT_TRUE(glob_match("a*", "a\\*"));
    EXPECT_FALSE(glob_match("ab", "a\\*"));
    EXPECT_TRUE(glob_match("aaab", "*a*b"));
    EXPECT_FALSE(glob_match("", "*"));
    EXPECT_TRUE(glob_match("/a/b/c/d", "/a/**/d"));
    EXPECT_TRUE(glob_match("/a/d", "/a/**/d"));
    EXPECT_FALSE(glob_match("/a/.b/d", "/a/**/d"));
    EXPECT_FALSE(glob_match("/a", "/a/**"));
    EXPECT_FALSE(glob_match("/.hidden", "/*"));
    EXPECT_TRUE(glob_match("/x.md", "/*.{txt,md}"));
    EXPECT_TRUE(glob_match("/{x}", "/{x}"));
    EXPECT_TRUE(glob_match("/b", "!/a"));
    EXPECT_FALSE(glob_match("#a", "#a"));
    EXPECT_FALSE(glob_match("z", std::string(200, '{') + "a,b" + std::string(200, '}')));
    for (const char *bad : {"a[", "a[0-", "a\\", "a[^"}) EXPECT_FALSE(glob_match("ab", bad)) << bad;
    EXPECT_FALSE(glob_match(std::string(5000, 'a'), "*a*a*a*a*a*a*a*a*b"));
}

/// What refuses the matcher "1 == 1" with something around it; empty when it is taken.
std::string refusal_of(const std::string &matcher, const std::string &request = "alice") {
    MemoryStore store;
    store.p = {{"alice"}};
    try {
        const Model model = parse_model("r = sub\np = sub\ne = some(where (p.eft == allow))\nm = " + matcher + "\n");
        static_cast<void>(enforce(model, {request}, store));
    } catch (const usher::Error &error) {
        EXPECT_STREQ(error.sqlstate().c_str(), "22023");
        return error.what();
    }
    return {};
}

std::string repeated(std::string_view text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
}

// Operators in a row make a tree as high as it is long, and whoever walks it goes as deep.
TEST(PolicyLimits, BoundTheHeightOfAnExpression) {
    for (const std::string_view chain : {"+1", "==1", "*1", "-1", " < 1", " in (1)"}) {
        EXPECT_NE(refusal_of("1 == 1" + repeated(chain, 60000 / static_cast<int>(chain.size())))
                      .find("too many operators in a row"),
                  std::string::npos)
            << chain;
    }
    EXPECT_NE(refusal_of("1" + repeated("==1", 21000)), "");
    EXPECT_EQ(refusal_of("1 == 1" + repeated("+1", 150)), "");
    EXPECT_EQ(refusal_of("1 == 2" + repeated(" || 1 == 2", 5000)), ""); // side by side, not in each other
    EXPECT_NE(refusal_of(repeated("-", 30000) + "1 == 1"), "");
    EXPECT_NE(refusal_of(repeated("(", 30000) + "1 == 1"), "");
    EXPECT_NE(refusal_of(repeated("keyMatch(", 7000) + "1 == 1"), "");
}

// A rule that stands in a row or a request was written by somebody else than the model.
TEST(PolicyLimits, CheckTheRulesOfEval) {
    for (const char *const rule : {"keyMatch()", "eval()", "keyMatch(\"a\")", "regexMatch()", "ipMatch(1, 2, 3)", "g()",
                                   "no_such(1)", "r.x == 1", "p.sub2 == 1", "globMatch(r.sub)"})
        EXPECT_NE(refusal_of("eval(r.sub)", rule).find("a rule of eval()"), std::string::npos) << rule;
    EXPECT_EQ(refusal_of("eval(r.sub)", "eval(\"1 == 1\")"), "policy: eval() within eval()");
    EXPECT_EQ(refusal_of("eval(r.sub)", "1 == 1"), "");
    EXPECT_NE(refusal_of("eval(r.sub)", "1" + repeated("+1", 30000)), "");
}

TEST(PolicyLimits, BoundPatternsAndRequests) {
    EXPECT_NE(refusal_of("globMatch(\"a\", r.sub)", repeated("{,}", 1300)).find("more than 1000"), std::string::npos);
    EXPECT_NE(refusal_of("globMatch(\"a\", r.sub)", repeated("{,}", 20000)).find("longer than 4096"),
              std::string::npos);
    EXPECT_NE(refusal_of("globMatch(r.sub, \"a\")", std::string(65537, 'a')).find("65536"), std::string::npos);
    EXPECT_EQ(refusal_of("globMatch(\"a\", r.sub)", std::string(4096, '{')), "");
    EXPECT_NE(refusal_of("globMatch(\"a\", r.sub)", "{" + repeated("a,", 1200) + "}").find("more than 1000"),
              std::string::npos);
    EXPECT_EQ(refusal_of("globMatch(r.sub, \"{a,b}/**/{c,d}\")", repeated("a/", 30000)), "");
    for (const char *const number : {"1e300", "-1e300", "9223372036854775808"})
        EXPECT_EQ(refusal_of("keyMatch(1, 1) && keyMatch(" + std::string(number) + ", 1)"),
                  "policy: a function was given something that is not text")
            << number;
}

// Whatever the pattern and the text are, a match ends soon, and can be ended sooner.
TEST(PolicyLimits, BoundTheWorkOfEveryMatcher) {
    const std::string text(60000, 'a'), path = repeated("a/", 30000), stars = repeated("*a", 2000) + "b";
    const std::pair<std::string, std::string> cases[] = {
        {text, stars},
        {text, repeated("[a-z]*", 600) + "b"},
        {text, "[" + repeated("b", 4000) + "]*"},
        {repeated("[", 60000), repeated("[[]*", 1000) + "b"},
        {path, repeated("**/", 1300) + "b"},
        {path, repeated("*a*/", 1000) + "b"},
        {text, "{" + repeated("*a*a*a,", 500) + "b}*" + repeated("*a", 200) + "b"},
        {"a", repeated("{a,b}", 800)},
        {"a", "{" + repeated("a,", 900) + "}{" + repeated("b,", 900) + "}"},
        {"a", repeated("{", 4000) + "," + repeated("}", 90)},
        {"", repeated("{", 2000) + repeated(",}", 1000)},
    };
    using clock = std::chrono::steady_clock;
    for (const auto &[subject, pattern] : cases) {
        auto last = clock::now();
        const auto begin = last;
        auto longest = clock::duration::zero();
        int polls = 0;
        try {
            static_cast<void>(glob_match(subject, pattern, [&] {
                ++polls;
                longest = std::max(longest, clock::now() - last);
                last = clock::now();
            }));
        } catch (const usher::Error &error) {
            EXPECT_EQ(error.sqlstate(), std::string_view("22023"));
        }
        longest = std::max(longest, clock::now() - last);
        EXPECT_GT(polls, 0) << pattern.substr(0, 40);
        // generous: sanitizers, and a machine that does something else
        EXPECT_LT(longest, std::chrono::seconds(1)) << pattern.substr(0, 40);
        EXPECT_LT(clock::now() - begin, std::chrono::seconds(10)) << pattern.substr(0, 40);
        EXPECT_THROW(static_cast<void>(glob_match(subject, pattern, [] { throw usher::Error("57014", "canceled"); })),
                     usher::Error);
        const auto others = clock::now(); // which are linear
        static_cast<void>(key_match(subject, pattern) || ip_match(subject, pattern));
        for (const auto expression : {key_match2_regex, key_match3_regex, key_match4_regex, key_match5_regex})
            EXPECT_LT(expression(pattern).size(), 8 * max_pattern);
        EXPECT_LT(clock::now() - others, std::chrono::milliseconds(500)) << pattern.substr(0, 40);
    }
}

TEST(PolicyLimits, LetTheCallerEndLongWork) {
    struct Impatient : MemoryStore {
        int left = 1000;
        void poll() override {
            if (--left == 0) throw usher::Error("57014", "canceled");
        }
    } store;
    for (int i = 0; i < 10000; ++i) store.p.push_back({"user"});
    const Model model = parse_model("r = sub\np = sub\ne = some(where (p.eft == allow))\nm = r.sub + p.sub == \"x\"\n");
    EXPECT_THROW(static_cast<void>(enforce(model, {"a"}, store)), usher::Error);
    EXPECT_EQ(store.left, 0);
}

TEST(PolicyCsv, ReadsLinesAsCasbinDoes) {
    const auto rules = parse_policy_csv("# who may what\n\np, alice, data1, read\r\n  p ,\tbob,data2 , write  \n"
                                        "g, alice, admin\np, \"a, b\", \"say \"\"x\"\"\", \n"
                                        "p, eval(r.sub.age > 18, r.obj), it's \"so\", x\n#p, x, y\ng2, a, b");
    ASSERT_EQ(rules.size(), 6U);
    EXPECT_EQ(rules[0].line, 3U);
    EXPECT_EQ(rules[0].values, (std::vector<std::string>{"p", "alice", "data1", "read"}));
    EXPECT_EQ(rules[1].values, (std::vector<std::string>{"p", "bob", "data2", "write"}));
    EXPECT_EQ(rules[2].values, (std::vector<std::string>{"g", "alice", "admin"}));
    EXPECT_EQ(rules[3].values, (std::vector<std::string>{"p", "a, b", "say \"x\"", ""}));
    EXPECT_EQ(rules[4].values, (std::vector<std::string>{"p", "eval(r.sub.age > 18,r.obj)", "it's \"so\"", "x"}));
    EXPECT_EQ(rules[5].values, (std::vector<std::string>{"g2", "a", "b"}));
    EXPECT_TRUE(parse_policy_csv("").empty());
    EXPECT_TRUE(parse_policy_csv("\n \n#\n").empty());
}

TEST(PolicyCsv, NamesTheLineOfAMalformedRule) {
    const auto problem = [](const std::string &text) {
        try {
            parse_policy_csv("p, a, b\n" + text);
        } catch (const usher::Error &error) {
            EXPECT_EQ(error.detail(), R"({"line":2})");
            return std::string(error.what());
        }
        return std::string("none");
    };
    EXPECT_EQ(problem("x, a, b"), "policy rules: line 2: it must begin with p or g, or one of them with a number");
    EXPECT_EQ(problem("p1234, a"), "policy rules: line 2: it must begin with p or g, or one of them with a number");
    EXPECT_EQ(problem(", a"), "policy rules: line 2: it must begin with p or g, or one of them with a number");
    EXPECT_EQ(problem("p"), "policy rules: line 2: there must be one to six values");
    EXPECT_EQ(problem("p, 1, 2, 3, 4, 5, 6, 7"), "policy rules: line 2: there must be one to six values");
    EXPECT_EQ(problem("p, \"a"), "policy rules: line 2: a quoted value does not end");
    EXPECT_EQ(problem("p, \"a\" b, c"), "policy rules: line 2: there is text after a quoted value");
    EXPECT_EQ(problem("p, f(a, b"), "policy rules: line 2: parentheses do not match");
    EXPECT_EQ(problem("p, " + std::string(257, 'x')), "policy rules: line 2: a value is longer than 256 bytes");
    EXPECT_EQ(problem("p, " + std::string(256, 'x')), "none");
}

} // namespace
