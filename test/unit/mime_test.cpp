// What usher-courier writes as a message (gateway/courier/mime.cpp): nobody's text becomes a header, a recipient or a
// command.
#include "common/encoding.hpp"
#include "common/utf8.hpp"
#include "courier/mime.hpp"
#include <clocale>
#include <gtest/gtest.h>

using namespace usher;
using namespace usher::courier;

namespace {

// As the program does: libcurl takes names in the characters of the locale.
const bool has_utf8 = std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr;

Mail plain() {
    Mail mail;
    mail.message_id = "1@shop.example";
    mail.sender = "The Shop <shop@shop.example>";
    mail.recipient = "ann@example.com";
    mail.subject = "Hello";
    mail.body_text = "Some text.";
    return mail;
}

std::string head_of(const std::string &message) { return message.substr(0, message.find("\r\n\r\n") + 2); }
std::string body_of(const std::string &message) { return message.substr(message.find("\r\n\r\n") + 4); }

/// The value of a field as a reader unfolds it, without the space before it.
std::string field(const std::string &message, const std::string &name) {
    const std::string head = "\r\n" + head_of(message);
    std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "(none)";
    std::string value;
    for (at += name.size() + 4; at < head.size(); ++at) {
        if (head[at] != '\r') {
            value += head[at];
            continue;
        }
        if (at + 2 >= head.size() || (head[at + 2] != ' ' && head[at + 2] != '\t')) break;
        ++at;
    }
    return value;
}

std::string compose_with(std::string Mail::*member, std::string value) {
    Mail mail = plain();
    mail.*member = std::move(value);
    return compose(mail, 0);
}
std::string with_header(const std::string &name, const std::string &value) {
    Mail mail = plain();
    mail.headers = {{name, value}};
    return compose(mail, 0);
}
std::string subject(std::string value) { return field(compose_with(&Mail::subject, std::move(value)), "Subject"); }
std::string to(std::string value) { return field(compose_with(&Mail::recipient, std::move(value)), "To"); }
bool is_refused(std::string Mail::*member, std::string value) {
    try {
        compose_with(member, std::move(value));
        return false;
    } catch (const MalformedMail &) {
        return true;
    }
}

std::size_t longest_line(std::string_view text) {
    std::size_t longest = 0;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        if (end == std::string_view::npos) return std::max(longest, text.size());
        longest = std::max(longest, end);
        text.remove_prefix(end + 2);
    }
    return longest;
}

} // namespace

TEST(Mime, WritesWhatReadersExpect) {
    EXPECT_EQ(compose(plain(), 0), "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
                                   "From: \"The Shop\"\r\n <shop@shop.example>\r\n"
                                   "To: ann@example.com\r\n"
                                   "Subject: Hello\r\n"
                                   "Message-ID: <1@shop.example>\r\n"
                                   "Auto-Submitted: auto-generated\r\n"
                                   "MIME-Version: 1.0\r\n"
                                   "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n"
                                   "\r\n"
                                   "Some text.\r\n");
}

TEST(Mime, NoControlCharacterGetsIntoAHeader) {
    for (int c = 0; c < 0x20; ++c) {
        if (c == '\t') continue; // white space within a line
        const std::string bad = std::string("a") + static_cast<char>(c) + "Bcc: b@example.com";
        EXPECT_TRUE(is_refused(&Mail::subject, bad)) << c;
        EXPECT_TRUE(is_refused(&Mail::sender, bad + " <shop@shop.example>")) << c;
        EXPECT_TRUE(is_refused(&Mail::reply_to, bad + " <shop@shop.example>")) << c;
        EXPECT_TRUE(is_refused(&Mail::recipient, bad + " <ann@example.com>")) << c;
        EXPECT_TRUE(is_refused(&Mail::recipient, std::string("ann") + static_cast<char>(c) + "@example.com")) << c;
        EXPECT_TRUE(is_refused(&Mail::recipient, std::string("ann@exa") + static_cast<char>(c) + "mple.com")) << c;
        EXPECT_TRUE(is_refused(&Mail::message_id, std::string("1") + static_cast<char>(c) + "@shop.example")) << c;
        EXPECT_THROW(with_header("X-Order", bad), MalformedMail) << c;
        EXPECT_THROW(with_header(std::string("X") + static_cast<char>(c) + "Order", "7"), MalformedMail) << c;
    }
    EXPECT_TRUE(is_refused(&Mail::subject, "a\x7f"));
    EXPECT_TRUE(is_refused(&Mail::recipient, "ann@example.com\r\nRCPT TO:<eve@example.com>"));
    EXPECT_TRUE(is_refused(&Mail::recipient, "ann@example.com\n"));
}

TEST(Mime, TextThatIsNoUtf8IsRefusedInAHeader) {
    EXPECT_TRUE(is_refused(&Mail::subject, "\xff"));
    EXPECT_TRUE(is_refused(&Mail::subject, "\xc0\x8a")); // an overlong line feed
    EXPECT_TRUE(is_refused(&Mail::sender, "\xed\xa0\x80 <shop@shop.example>"));
}

TEST(Mime, SubjectsOutsideAsciiAreEncodedWords) {
    EXPECT_EQ(subject("Grüße"), "=?UTF-8?B?" + base64_encode("Grüße") + "?=");
    // What breaks lines in Unicode is within the words.
    EXPECT_EQ(subject("a\xe2\x80\xa8"
                      "b"),
              "=?UTF-8?B?" +
                  base64_encode("a\xe2\x80\xa8"
                                "b") +
                  "?=");
    EXPECT_EQ(subject("a\xc2\x85"
                      "b"),
              "=?UTF-8?B?" +
                  base64_encode("a\xc2\x85"
                                "b") +
                  "?=");
}

TEST(Mime, TextThatLooksLikeAnEncodedWordIsNotDecoded) {
    const std::string tricky = "=?UTF-8?Q?=0D=0ABcc:_eve=40x.com?=";
    EXPECT_EQ(subject(tricky), "=?UTF-8?B?" + base64_encode(tricky) + "?=");
    EXPECT_EQ(to(tricky + " <ann@example.com>"), "=?UTF-8?B?" + base64_encode(tricky) + "?= <ann@example.com>");
    EXPECT_EQ(to("\"" + tricky + "\" <ann@example.com>"),
              "=?UTF-8?B?" + base64_encode(tricky) + "?= <ann@example.com>");
}

TEST(Mime, EncodedWordsHoldWholeCharactersInLinesOf76) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "Ü🚲";
    for (const char *name : {"Subject", "X-A-Header-With-A-Name-That-Leaves-Little-Room-In-Its-Line", "X-Y"}) {
        const std::string message =
            std::string(name) == "Subject" ? compose_with(&Mail::subject, text) : with_header(name, text);
        const std::string head = head_of(message);
        const std::size_t begin = head.find(std::string(name) + ":");
        const std::string_view value = std::string_view(head).substr(begin, head.find("?=\r\nM", begin) + 2 - begin);
        EXPECT_LE(longest_line(name == std::string("Subject") ? value : std::string_view(head)), 76U) << name;
        std::string decoded;
        for (std::size_t at = head.find("=?UTF-8?B?", begin); at != std::string::npos;
             at = head.find("=?UTF-8?B?", at + 1)) {
            const std::string word = head.substr(at + 10, head.find("?=", at) - at - 10);
            const std::optional<std::string> part = base64_decode(word);
            ASSERT_TRUE(part && is_valid_utf8(*part) && !part->empty() && word.size() + 12 <= 75);
            decoded += *part;
        }
        EXPECT_EQ(decoded, text);
    }
}

TEST(Mime, NoLineIsLongerThanServersTake) {
    for (const std::string &text :
         {std::string(5000, 'x'), "a" + std::string(3000, ' ') + "b", "a" + std::string(3000, '\t') + "b c",
          std::string(890, 'x') + " " + std::string(890, 'y'), std::string(3000, ' '), [] {
              std::string words;
              for (int i = 0; i < 500; ++i) words += "word ";
              return words;
          }()}) {
        EXPECT_LE(longest_line(head_of(compose_with(&Mail::subject, text))), 998U);
        EXPECT_LE(longest_line(head_of(with_header("X-Long", text))), 998U);
        EXPECT_LE(longest_line(head_of(compose_with(&Mail::sender, text + " <shop@shop.example>"))), 998U);
        EXPECT_LE(longest_line(body_of(compose_with(&Mail::body_text, text))), 998U);
    }
    // Folded where there are spaces, and nothing is lost by it.
    std::string words;
    for (int i = 0; i < 100; ++i) words += (i > 0 ? " " : "") + std::to_string(i);
    EXPECT_EQ(subject(words), words);
    EXPECT_LE(longest_line(head_of(compose_with(&Mail::subject, words))), 78U);
}

TEST(Mime, AHeaderHasNoLineOfWhiteSpaceAlone) { // it would end the header for some readers
    for (const std::string &text : {std::string(200, ' '), std::string(70, 'x') + std::string(100, ' '),
                                    std::string(70, 'x') + std::string(100, ' ') + "y", std::string(" \t \t")}) {
        const std::string head = head_of(compose_with(&Mail::subject, text));
        for (std::size_t at = 0; at < head.size(); at = head.find("\r\n", at) + 2)
            EXPECT_NE(head.substr(at, head.find("\r\n", at) - at).find_first_not_of(" \t"), std::string::npos) << text;
    }
}

TEST(Mime, NamesAreQuoted) {
    EXPECT_EQ(to("Ann <ann@example.com>"), "\"Ann\" <ann@example.com>");
    EXPECT_EQ(to("Ann, Bob; (all) <ann@example.com>"), "\"Ann, Bob; (all)\" <ann@example.com>");
    EXPECT_EQ(to("\"Ann \\\"the\\\\cat\\\"\" <ann@example.com>"), "\"Ann \\\"the\\\\cat\\\"\" <ann@example.com>");
    EXPECT_EQ(to("eve@example.com, Ann <ann@example.com>"), "\"eve@example.com, Ann\" <ann@example.com>");
    EXPECT_EQ(to("<eve@example.com> <ann@example.com>"), "\"<eve@example.com>\" <ann@example.com>");
    EXPECT_EQ(to("\"Ann\" <eve@example.com> \"\" <ann@example.com>"),
              "\"Ann\\\" <eve@example.com> \\\"\" <ann@example.com>");
    EXPECT_EQ(to("Ann\\ <ann@example.com>"), "\"Ann\\\\\" <ann@example.com>");
    EXPECT_EQ(to("Jürgen <j@example.com>"), "=?UTF-8?B?" + base64_encode("Jürgen") + "?= <j@example.com>");
    EXPECT_EQ(to("  <ann@example.com> "), "ann@example.com");
}

TEST(Mime, AnAddressIsOneAddress) {
    for (const char *text : {"",
                             "ann",
                             "@example.com",
                             "ann@",
                             "ann@@example.com",
                             "a b@example.com",
                             "ann@example.com, eve@example.com",
                             "ann,eve@example.com",
                             "ann@example.com eve@example.com",
                             "ann@exam ple.com",
                             "<ann@example.com",
                             "ann@example.com>",
                             "<ann@example.com><eve@example.com",
                             "Ann <ann@example.com> <",
                             "<>",
                             "ann@<example.com>",
                             "<@relay.example:ann@example.com>",
                             "a\"b@example.com",
                             "\"a\"b\"@example.com",
                             "\"a\\\"@example.com",
                             "\"\"@example.com",
                             "a(comment)@example.com",
                             "ann@example.com(comment)",
                             "ann@example.com:25",
                             "ann@[::1]",
                             "ann@example..com",
                             "ann@.example.com",
                             "ann@example.com.",
                             "ann@exa#mple.com",
                             "ann@exa?mple.com",
                             "ann@exa%6dple.com",
                             "ann@exa&mple.com",
                             "group: ann@example.com;",
                             "\"a\tb\"@example.com"})
        EXPECT_TRUE(is_refused(&Mail::recipient, text)) << text;
    EXPECT_TRUE(is_refused(&Mail::recipient, std::string(65, 'x') + "@example.com"));
    EXPECT_TRUE(is_refused(&Mail::recipient, "ann@" + std::string(250, 'x') + ".example"));
    for (const char *text :
         {"ann@example.com", "ann+shop@example.com", "o'hara@example.com", "a.b-c_d@sub.example.com", "a@b.c",
          "!#$%&'*+/=?^`{|}~-@example.com", "\"a b\"@example.com", "\"a@b\"@example.com", "ann@[192.0.2.1]"})
        EXPECT_EQ(to(text), text);
}

TEST(Mime, DomainsOutsideAsciiAreWrittenInAscii) {
    ASSERT_TRUE(has_utf8);
    EXPECT_EQ(to("ann@müller.example"), "ann@xn--mller-kva.example");
    EXPECT_EQ(to("ann@MÜLLER.example"), "ann@xn--mller-kva.example");
    EXPECT_EQ(to("ann@faß.example"), "ann@xn--fa-hia.example");
    EXPECT_EQ(to("ann@пример.example"), "ann@xn--e1afmkfd.example");
    EXPECT_EQ(to("Ann <ann@müller。example>"), "\"Ann\" <ann@xn--mller-kva.example>"); // U+3002, a full stop
}

TEST(Mime,
     ADomainIsNoUrl) { // it is made one on the way to its ASCII form: nothing of it may be lost, or lead elsewhere
    for (const char *text :
         {"ann@evil.example#ü", "ann@evil.example?ü", "ann@evil.example/ü", "ann@evil.example\\ü", "ann@ü.example:25",
          "ann@ü%2eexample", "ann@evil.example;ü", "ann@ü.example/..", "ann@evil.example\xef\xbc\x8fü",
          "ann@evil.example\xef\xbc\x83ü", "ann@evil.example\xef\xbc\x9fü", "ann@\xe2\x84\x80.example",
          "ann@ü..example", "ann@ü.example：25", "ann@ü&x.example", "ann@[ü]", "ann@ü\xe2\x80\xa8x.example"})
        EXPECT_TRUE(is_refused(&Mail::recipient, text)) << text;
}

TEST(Mime, ALocalPartOutsideAsciiStaysAsItIs) { // RFC 6532; the server must know SMTPUTF8
    EXPECT_EQ(to("grün@example.com"), "grün@example.com");
    EXPECT_EQ(to("Ann <grün@müller.example>"), "\"Ann\" <grün@xn--mller-kva.example>");
}

TEST(Mime, HeadersOfItsOwnCannotBeGiven) {
    for (const char *name : {"From",
                             "to",
                             "CC",
                             "Bcc",
                             "Subject",
                             "Date",
                             "Sender",
                             "Reply-To",
                             "Message-Id",
                             "Received",
                             "Return-Path",
                             "MIME-Version",
                             "Content-Type",
                             "content-transfer-encoding",
                             "Resent-To",
                             "DKIM-Signature",
                             "",
                             "X:Y",
                             "X Y",
                             "X\xc3\xbc",
                             "X\r\nBcc"})
        EXPECT_THROW(with_header(name, "x"), MalformedMail) << name;
    EXPECT_THROW(with_header(std::string(71, 'X'), "x"), MalformedMail);
    EXPECT_EQ(field(with_header("List-Unsubscribe", "<https://shop.example/u?t=abc>"), "List-Unsubscribe"),
              "<https://shop.example/u?t=abc>");
    const std::string automatic = with_header("Auto-Submitted", "auto-replied");
    EXPECT_EQ(field(automatic, "Auto-Submitted"), "auto-replied");
    EXPECT_EQ(automatic.find("auto-generated"), std::string::npos);
}

TEST(Mime, AMessageIdIsOne) {
    EXPECT_EQ(field(compose_with(&Mail::message_id, "<2@shop.example>"), "Message-ID"), "<2@shop.example>");
    for (const char *text : {"", "no-at", "a b@c", "a@b> <c@d", "a@b\tc", "ü@shop.example"})
        EXPECT_TRUE(is_refused(&Mail::message_id, text)) << text;
    EXPECT_TRUE(is_refused(&Mail::message_id, std::string(1000, 'x') + "@shop.example"));
}

TEST(Mime, EveryLineEndOfABodyIsCrlf) {
    EXPECT_EQ(body_of(compose_with(&Mail::body_text, "a\nb\rc\r\nd")), "a\r\nb\r\nc\r\nd\r\n");
    EXPECT_EQ(body_of(compose_with(&Mail::body_text, "\n\n")), "\r\n\r\n");
    EXPECT_EQ(body_of(compose_with(&Mail::body_text, "\r\r\n\n")), "\r\n\r\n\r\n");
    EXPECT_EQ(body_of(compose_with(&Mail::body_text, "")), "\r\n");
    // A line of one dot is the sender's to double: it stands here once.
    EXPECT_EQ(body_of(compose_with(&Mail::body_text, "a\n.\nMAIL FROM:<e@x>")), "a\r\n.\r\nMAIL FROM:<e@x>\r\n");
}

TEST(Mime, BodiesThatServersWouldChangeAreQuotedPrintable) {
    const std::string text = compose_with(&Mail::body_text, "Grüße = \n.\n" + std::string(1000, 'x') + "\nend \t");
    EXPECT_EQ(field(text, "Content-Transfer-Encoding"), "quoted-printable");
    EXPECT_TRUE(body_of(text).starts_with("Gr=C3=BC=C3=9Fe =3D=20\r\n.\r\nxxx")) << body_of(text);
    EXPECT_TRUE(body_of(text).ends_with("\r\nend =09\r\n")) << body_of(text);
    EXPECT_LE(longest_line(body_of(text)), 76U);
    const std::string zero = compose_with(&Mail::body_text, std::string("a\0b", 3));
    EXPECT_EQ(body_of(zero), "a=00b\r\n");
}

TEST(Mime, TextAndHtmlAreAlternatives) {
    Mail mail = plain();
    mail.body_html = "<p>Größe</p>";
    const std::string message = compose(mail, 0);
    const std::string type = field(message, "Content-Type");
    const std::size_t quote = type.find('"');
    ASSERT_TRUE(type.starts_with("multipart/alternative; boundary=\"")) << type;
    const std::string between = type.substr(quote + 1, type.size() - quote - 2);
    EXPECT_GE(between.size(), 32U);
    EXPECT_EQ(body_of(message), "--" + between + "\r\nContent-Type: text/plain; charset=utf-8\r\n" +
                                    "Content-Transfer-Encoding: 7bit\r\n\r\nSome text.\r\n--" + between +
                                    "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: "
                                    "quoted-printable\r\n\r\n<p>Gr=C3=B6=C3=9Fe</p>\r\n--" +
                                    between + "--\r\n");
    EXPECT_NE(type, field(compose(mail, 0), "Content-Type")); // nobody can guess it
    mail.body_text.clear();
    EXPECT_EQ(field(compose(mail, 0), "Content-Type"), "text/html; charset=utf-8");
}
