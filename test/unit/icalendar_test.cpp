#include "common/utf8.hpp"
#include "common/zone.hpp"
#include "usher_booking/calendar/icalendar.hpp"
#include <gtest/gtest.h>

using namespace usher;
using namespace usher::ical;

namespace {
/// What a reader does first (RFC 5545 section 3.1).
std::string unfold(std::string text) {
    for (std::size_t at; (at = text.find("\r\n ")) != std::string::npos;) text.erase(at, 3);
    return text;
}
} // namespace

TEST(ICalendar, Times) {
    EXPECT_EQ(utc(0), "19700101T000000Z");
    EXPECT_EQ(utc(1'793'511'000 * second_us + 999'999), "20261101T053000Z");
    EXPECT_EQ(utc(951'782'400 * second_us), "20000229T000000Z");
    EXPECT_EQ(utc(-1), "19691231T235959Z");
    EXPECT_EQ(utc(4'107'542'400 * second_us), "21000301T000000Z"); // 2100 is no leap year
}

TEST(ICalendar, EscapesText) {
    EXPECT_EQ(escape_text("a,b;c\\d"), "a\\,b\\;c\\\\d");
    EXPECT_EQ(escape_text("one\ntwo\r\nthree\rfour"), "one\\ntwo\\nthree\\nfour");
    EXPECT_EQ(escape_text(std::string_view("x\0y\x01z\x7f\t", 7)), "xyz\t");
    EXPECT_EQ(escape_text("BEGIN:VEVENT"), "BEGIN:VEVENT"); // stays one value: no line begins with it
}

TEST(ICalendar, FoldsAt75OctetsBetweenCharacters) {
    EXPECT_EQ(fold("short"), "short\r\n");
    EXPECT_EQ(fold(std::string(75, 'a')), std::string(75, 'a') + "\r\n");
    EXPECT_EQ(fold(std::string(76, 'a')), std::string(75, 'a') + "\r\n a\r\n");
    for (const char *character : {"a", "ä", "€", "🚿"}) {
        for (std::size_t shift = 0; shift < 8; ++shift) {
            std::string line(shift, 'x');
            for (int i = 0; i < 120; ++i) line += character;
            const std::string folded = fold(line);
            EXPECT_EQ(unfold(folded), line + "\r\n");
            for (std::size_t at = 0; at < folded.size();) {
                const std::size_t end = folded.find("\r\n", at);
                EXPECT_LE(end - at, 75U);
                EXPECT_TRUE(is_valid_utf8(folded.substr(at, end - at)));
                at = end + 2;
            }
        }
    }
    EXPECT_EQ(unfold(fold(std::string(300, '\x80'))), std::string(300, '\x80') + "\r\n"); // no UTF-8: still ends
}

TEST(ICalendar, WholeCalendar) {
    Event event;
    event.uid = "0198f3a0-0000-7000-8000-000000000001";
    event.sequence = 3;
    event.status = Status::cancelled;
    event.start = 1'793'511'000 * second_us;
    event.end = event.start + 3600 * second_us;
    event.summary = "Wash, wax; dry";
    event.geo.emplace_back("52.52000000", "13.40500000");
    EXPECT_EQ(calendar({event}),
              "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//usher//usher_booking//EN\r\nCALSCALE:GREGORIAN\r\n"
              "BEGIN:VEVENT\r\nUID:0198f3a0-0000-7000-8000-000000000001\r\nDTSTAMP:19700101T000000Z\r\n"
              "CREATED:19700101T000000Z\r\nLAST-MODIFIED:19700101T000000Z\r\nSEQUENCE:3\r\nSTATUS:CANCELLED\r\n"
              "DTSTART:20261101T053000Z\r\nDTEND:20261101T063000Z\r\nSUMMARY:Wash\\, wax\\; dry\r\n"
              "GEO:52.52000000;13.40500000\r\nTRANSP:TRANSPARENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    event.status = Status::tentative;
    EXPECT_NE(calendar({event, event}).find("STATUS:TENTATIVE\r\n"), std::string::npos);
}
