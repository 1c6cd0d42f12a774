#include "usher/http/value_forms.hpp"
#include <gtest/gtest.h>

using namespace usher::http;

namespace {
bool fits(Shape shape, std::string text) { return check_form(shape, text) == nullptr; }
void expect(Shape shape, std::initializer_list<const char *> good, std::initializer_list<const char *> bad) {
    for (const char *const text : good) EXPECT_TRUE(fits(shape, text)) << text;
    for (const char *const text : bad) EXPECT_FALSE(fits(shape, text)) << text;
    EXPECT_FALSE(fits(shape, ""));
}
} // namespace

TEST(ValueForms, AnInstantHasAnOffset) {
    expect(Shape::timestamp,
           {"2026-01-02T03:04:05Z", "2026-01-02 03:04+02", "2026-01-02t03:04:05.678-0530", "2026-01-02T03:04:05+05:30"},
           {"2026-01-02T03:04:05", "2026-01-02Z", "2026-01-02T03:04:05+", "2026-01-02T03:04:05.Z", "tomorrow",
            "2026-01-02T03:04 tomorrow+01", "2026-01-02T03:04:05Z ", "2026-01-02T03:04:05+02 BC", "infinity"});
}

TEST(ValueForms, ALocalTimestampHasNone) {
    expect(Shape::local_timestamp, {"2026-01-02T03:04:05", "2026-01-02 03:04"},
           {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00", "2026-01-02", "now"});
    expect(Shape::time, {"08:30", "08:30:15.5"}, {"08:30Z", "08:30+02", "8:30", "noon", "08:30:", "08:30 PM"});
}

TEST(ValueForms, ADateIsNoWord) {
    expect(
        Shape::date, {"2026-12-31", "0001-01-01"},
        {"today", "tomorrow", "infinity", "20261231", "2026-12-31T00:00", "31.12.2026", "2026-1-1", "2026-12-31 BC"});
}

TEST(ValueForms, AUuidHasOneForm) {
    expect(Shape::uuid, {"00000000-0000-0000-0000-0000000000ab", "ABCDEF01-0000-7000-8000-0000000000AB"},
           {"000000000000000000000000000000ab", "{00000000-0000-0000-0000-0000000000ab}",
            "0000-0000-0000-0000-0000-0000-0000-00ab", "00000000-0000-0000-0000-0000000000ag"});
}

TEST(ValueForms, ANumberIsFinite) {
    expect(Shape::number, {"0", "-1", "12345678901234567890.123", "1e5", "1.5E-3", "-0.0"},
           {"NaN", "Infinity", "-inf", "01", "1.", ".5", "+1", "0x1f", " 1", "1_000", "1e", "null"});
}

TEST(ValueForms, ADurationIsNoWord) {
    expect(Shape::duration, {"P1D", "PT1H30M", "P1Y2M3W4DT5H6M7.5S", "P-1DT-2H", "PT0S"},
           {"1 day", "01:30:00", "P", "PT", "P1", "P1H", "PT1D", "P1M1Y", "PT1.S", "P1D "});
}

TEST(ValueForms, BytesAreBase64) {
    std::string text = "AP8=";
    EXPECT_EQ(check_form(Shape::bytes, text), nullptr);
    EXPECT_EQ(text, "\\x00ff");
    std::string empty;
    EXPECT_EQ(check_form(Shape::bytes, empty), nullptr);
    EXPECT_EQ(empty, "\\x");
    for (const char *const bad : {"\\x00ff", "AP8", "AP9=", "A P8=", "AP_-"})
        EXPECT_FALSE(fits(Shape::bytes, bad)) << bad;
}

TEST(ValueForms, OthersAreLeftToTheServer) {
    EXPECT_TRUE(fits(Shape::boolean, "true"));
    EXPECT_FALSE(fits(Shape::boolean, "t"));
    EXPECT_TRUE(fits(Shape::string, "anything"));
    EXPECT_FALSE(fits(Shape::object, "{}"));
}
