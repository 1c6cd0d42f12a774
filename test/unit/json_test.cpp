// Strict JSON: what is refused, where, and how values are read.
#include "common/json.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher::json;

std::string problem(std::string_view text, const Limits &limits = {}) {
    Document document;
    return document.parse(text, limits) ? "none" : document.error();
}

TEST(Json, AcceptsEveryKindOfValue) {
    for (const char *text :
         {"null", "true", "false", "0", "-0", "-1.5e+3", "\"\"", "[]", "{}", " [ 1 , [ 2 ] , { \"a\" : { } } ] \r\n\t"})
        EXPECT_EQ(problem(text), "none") << text;
}

TEST(Json, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(problem(""), "expected a value at byte 1");
    EXPECT_EQ(problem("{\"a\":1,\"b\":2,\"a\":3}"), "duplicate key at byte 14");
    EXPECT_EQ(problem("{\"a\":{\"x\":1,\"x\":2}}"), "duplicate key at byte 13");
    EXPECT_EQ(problem("{\"a\":1,\"\\u0061\":2}"), "duplicate key at byte 8");
    EXPECT_EQ(problem("[1,]"), "expected a value at byte 4");
    EXPECT_EQ(problem("{\"a\":1,}"), "expected a key at byte 8");
    EXPECT_EQ(problem("{a:1}"), "expected a key at byte 2");
    EXPECT_EQ(problem("{\"a\" 1}"), "expected a colon at byte 6");
    EXPECT_EQ(problem("[1 2]"), "expected a comma or a closing bracket at byte 4");
    EXPECT_EQ(problem("{\"a\":1"), "expected a comma or a closing brace at byte 7");
    EXPECT_EQ(problem("1 2"), "unexpected text after the value at byte 3");
    EXPECT_EQ(problem("nul"), "expected a value at byte 1");
    EXPECT_EQ(problem("nullx"), "unexpected text after the value at byte 5");
    EXPECT_EQ(problem("'a'"), "expected a value at byte 1");
    EXPECT_EQ(problem("\xef\xbb\xbf{}"), "expected a value at byte 1"); // byte order mark
    EXPECT_EQ(problem("\"\xff\""), "text is not valid UTF-8");
}

TEST(Json, RefusesBadStrings) {
    EXPECT_EQ(problem("\"abc"), "string without end at byte 1");
    EXPECT_EQ(problem("\"a\nb\""), "control character in a string at byte 3");
    EXPECT_EQ(problem("\"\\x\""), "unknown escape in a string at byte 2");
    EXPECT_EQ(problem("\"\\u12\""), "expected four hexadecimal digits at byte 2");
    EXPECT_EQ(problem("\"\\u0000\""), "character U+0000 in a string at byte 2");
    EXPECT_EQ(problem(std::string_view("\"\0\"", 3)), "control character in a string at byte 2");
    EXPECT_EQ(problem("\"\\udc00\""), "surrogate without its pair at byte 2");
    EXPECT_EQ(problem("\"\\ud83dx\""), "surrogate without its pair at byte 2");
    EXPECT_EQ(problem("\"\\ud83d\\u0041\""), "surrogate without its pair at byte 2");
    EXPECT_EQ(problem("\"\\"), "unknown escape in a string at byte 2");
}

TEST(Json, RefusesBadNumbers) {
    for (const char *text : {"01", "-01", "00"}) EXPECT_NE(problem(text), "none") << text;
    for (const char *text : {"+1", ".5", "-", "NaN", "Infinity", "0x10"}) EXPECT_NE(problem(text), "none") << text;
    EXPECT_EQ(problem("1."), "expected a digit at byte 3");
    EXPECT_EQ(problem("1e"), "expected a digit at byte 3");
    EXPECT_EQ(problem("1e400"), "number out of range at byte 1");
    EXPECT_EQ(problem("[-1e99999999999]"), "number out of range at byte 2");
    EXPECT_EQ(problem(std::string(401, '9')), "number too long at byte 1");
    EXPECT_EQ(problem(std::string(350, '9')), "number out of range at byte 1");
}

TEST(Json, LimitsDepthAndSize) {
    const std::string deep = std::string(64, '[') + std::string(64, ']');
    EXPECT_EQ(problem(deep), "none");
    EXPECT_EQ(problem('[' + deep + ']'), "nesting too deep at byte 65");
    EXPECT_EQ(problem("[[1]]", {100, 1}), "nesting too deep at byte 2");
    EXPECT_EQ(problem("[1,2,3]", {6, 8}), "text longer than 6 bytes");
    EXPECT_EQ(problem(std::string(1 << 20, '[')), "nesting too deep at byte 65");
}

TEST(Json, FindsDuplicatesAmongManyKeys) {
    std::string text = "{";
    for (int i = 0; i < 1000; ++i) text += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
    EXPECT_EQ(problem(text + "\"z\":1}"), "none");
    EXPECT_EQ(problem(text + "\"k17\":1}"), "duplicate key at byte " + std::to_string(text.size() + 1));
}

TEST(Json, ReadsValues) {
    Document document;
    ASSERT_TRUE(document.parse(
        R"({"s":"a\"\u00e4\ud83d\ude97\n","i":-12,"f":1.5,"e":1e3,"t":true,"n":null,"o":{"x":[1,2,3]}})"));
    const Value root = document.root();
    EXPECT_EQ(root.size(), 7U);
    EXPECT_EQ(root.find("s")->as_string(), "a\"\xc3\xa4\xf0\x9f\x9a\x97\n");
    EXPECT_TRUE(root.find("s")->equals("a\"\xc3\xa4\xf0\x9f\x9a\x97\n"));
    EXPECT_EQ(root.find("i")->as_int64(), -12);
    EXPECT_EQ(root.find("f")->as_int64(), std::nullopt);
    EXPECT_EQ(root.find("f")->as_double(), 1.5);
    EXPECT_EQ(root.find("e")->as_int64(), 1000);
    EXPECT_EQ(root.find("t")->as_bool(), true);
    EXPECT_TRUE(root.find("n")->is_null());
    EXPECT_FALSE(root.find("x"));
    const Value numbers = *root.find("o")->find("x");
    EXPECT_EQ(numbers.raw(), "[1,2,3]");
    std::int64_t sum = 0;
    for (const Member element : numbers.members()) {
        EXPECT_EQ(element.key(), "");
        sum += element.value.as_int64().value();
    }
    EXPECT_EQ(sum, 6);
    std::string keys;
    for (const Member member : root.members()) keys += member.key();
    EXPECT_EQ(keys, "sifetno");
}

TEST(Json, ReadsIntegersExactlyOrNotAtAll) {
    Document document;
    ASSERT_TRUE(
        document.parse("[9223372036854775807,-9223372036854775808,9223372036854775808,1e300,9007199254740993.0]"));
    std::vector<std::optional<std::int64_t>> values;
    for (const Member element : document.root().members()) values.push_back(element.value.as_int64());
    EXPECT_EQ(values[0], INT64_MAX);
    EXPECT_EQ(values[1], INT64_MIN);
    EXPECT_EQ(values[2], std::nullopt);
    EXPECT_EQ(values[3], std::nullopt);
}

TEST(Json, IsHarmlessAfterAFailedParse) {
    Document document;
    ASSERT_TRUE(document.parse("{\"a\":1}"));
    ASSERT_FALSE(document.parse("{\"a\":"));
    EXPECT_TRUE(document.root().is_null());
    EXPECT_FALSE(document.root().find("a"));
    ASSERT_TRUE(document.parse("[]"));
    EXPECT_EQ(document.error(), "");
}

TEST(Json, WritesStrings) {
    EXPECT_EQ(quote("a\"\\\n\x01\xc3\xa4"), "\"a\\\"\\\\\\n\\u0001\xc3\xa4\"");
    Document document;
    const std::string text = quote("\b\f\n\r\t/\"\\\x1f");
    ASSERT_TRUE(document.parse(text));
    EXPECT_EQ(document.root().as_string(), "\b\f\n\r\t/\"\\\x1f");
}

} // namespace
