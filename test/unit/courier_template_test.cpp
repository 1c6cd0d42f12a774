#include "common/error.hpp"
#include "usher_courier/messages/mail_address.hpp"
#include "usher_courier/messages/message_template.hpp"
#include "usher_courier/messages/value_form.hpp"
#include <gtest/gtest.h>

using namespace usher;
using namespace usher::courier;

namespace {
std::string render(std::string_view text, std::string_view values, Medium medium = Medium::text,
                   std::string_view language = "en") {
    json::Document document;
    if (!document.parse(values)) return "values: " + document.error();
    return MessageTemplate(text, medium).render(document.root(), language);
}

std::string html(std::string_view text, std::string_view values) { return render(text, values, Medium::html); }

std::string refusal(std::string_view text, Medium medium = Medium::html) {
    try {
        const MessageTemplate read(text, medium);
        return "";
    } catch (const Error &error) {
        EXPECT_EQ(error.sqlstate(), "UM001");
        return error.what();
    }
}
} // namespace

TEST(MessageTemplate, PlaceholdersAreValues) {
    EXPECT_EQ(render("{{a}} {{ b.c }} {{none}}.", R"({"a": "x", "b": {"c": 7}})"), "x 7 .");
    EXPECT_EQ(render("{{a}}{{b}}{{c}}", R"({"a": true, "b": [1], "c": null})"), "true");
}

TEST(MessageTemplate, ValuesAreNoTemplates) { EXPECT_EQ(render("{{a}}", R"({"a": "{{b}}", "b": "x"})"), "{{b}}"); }

TEST(MessageTemplate, SectionsShowHideAndRepeat) {
    constexpr auto text = "{{#a}}[{{name}}{{b}}]{{/a}}{{^a}}none{{/a}}";
    EXPECT_EQ(render(text, R"({"a": [{"name": "x"}, {"name": "y", "b": 2}], "b": 1})"), "[x1][y2]");
    EXPECT_EQ(render(text, R"({"a": [], "b": 1})"), "none");
    EXPECT_EQ(render(text, R"({"a": "", "b": 1})"), "none");
    EXPECT_EQ(render(text, R"({"a": false, "b": 1})"), "none");
    EXPECT_EQ(render(text, R"({"a": 0, "b": 1})"), "none");
    EXPECT_EQ(render(text, R"({"a": {"name": "z"}})"), "[z]");
    EXPECT_EQ(render(text, R"({"a": "shown", "b": 1})"), "[1]");
}

TEST(MessageTemplate, SectionsEndInOrder) {
    EXPECT_NE(refusal("{{#a}}", Medium::text), "");
    EXPECT_NE(refusal("{{/a}}", Medium::text), "");
    EXPECT_NE(refusal("{{#a}}{{#b}}{{/a}}{{/b}}", Medium::text), "");
    EXPECT_NE(refusal("{{a", Medium::text), "");
    EXPECT_NE(refusal("{{}}", Medium::text), "");
    EXPECT_NE(refusal("{{a b}}", Medium::text), "");
    EXPECT_NE(refusal("{{{a}}}", Medium::text), "");
    EXPECT_NE(refusal("{{a|shout}}", Medium::text), "");
}

TEST(MessageTemplate, OutputIsBounded) {
    std::string list = "0", text;
    for (int i = 0; i < 200; ++i) list += ",1";
    for (const char *const tag : {"{{#a}}", "{{#a}}", "{{#a}}", "{{b}}", "{{/a}}", "{{/a}}", "{{/a}}"}) text += tag;
    EXPECT_THROW(render(text, R"({"b": "x", "a": [)" + list + "]}"), Error);
}

TEST(MessageTemplate, SubjectsAreOneLine) {
    EXPECT_EQ(render("Hi {{a}}", R"({"a": "x\r\nBcc: y@z.example"})", Medium::line), "Hi x  Bcc: y@z.example");
    EXPECT_NE(refusal("a\nb", Medium::line), "");
    EXPECT_EQ(render("{{a}}", R"({"a": "Grüße 🎉"})", Medium::line), "Grüße 🎉");
    EXPECT_EQ(render("{{a}}", "{\"a\": \"x\u2028y\u202ez\u0085\"}", Medium::line), "x y z ");
}

TEST(MessageTemplate, TextKeepsItsLinesAndValuesBringNone) {
    EXPECT_EQ(render("a\n{{b}}\n", R"({"b": "1\n2\u0007"})"), "a\n1 2 \n");
}

TEST(MessageTemplate, HtmlEscapesElementsAndAttributes) {
    constexpr auto value = R"({"a": "<b x=\"1\" y='2'>&"})";
    EXPECT_EQ(
        html("<p title=\"{{a}}\">{{a}}</p>", value),
        "<p title=\"&lt;b x=&quot;1&quot; y=&#39;2&#39;&gt;&amp;\">&lt;b x=&quot;1&quot; y=&#39;2&#39;&gt;&amp;</p>");
}

TEST(MessageTemplate, AddressesLeadToTheWebOrNowhere) {
    constexpr auto link = "<a href=\"{{a}}/x?t={{b}}\">";
    EXPECT_EQ(html(link, R"({"a": "https://x.example", "b": "a&b=c d/\""})"),
              "<a href=\"https://x.example/x?t=a%26b%3Dc%20d%2F%22\">");
    for (const char *const bad : {"javascript:alert(1)", " JavaScript:x", "data:text/html,x", "vbscript:x", "x", "",
                                  "java\\nscript:x", "\\u0001javascript:x"})
        EXPECT_EQ(html("<a href='{{a}}'>", std::string(R"({"a": ")") + bad + "\"}"), "<a href='#'>") << bad;
    EXPECT_EQ(html("<a href='mailto:{{a}}'>", R"({"a": "x@y.example?bcc=z"})"),
              "<a href='mailto:x%40y.example%3Fbcc%3Dz'>");
}

TEST(MessageTemplate, LiteralAddressesHaveASafeScheme) {
    EXPECT_NE(refusal("<a href=\"javascript:x\">"), "");
    EXPECT_NE(refusal("<a href=\" data:x\">"), "");
    EXPECT_NE(refusal("<a href=\"java&#115;cript:x\">"), "");
    EXPECT_NE(refusal("<a href=\"java{{a}}:x\">"), "");
    EXPECT_EQ(refusal("<a href=\"https://x.example/a:b\"><a href=\"{{a}}/b:c\"><img src='cid'>"), "");
}

TEST(MessageTemplate, SomePlacesTakeNoValue) {
    for (const char *const text : {"<script>{{a}}</script>",
                                   "<style>{{a}}</style>",
                                   "<!-- {{a}} -->",
                                   "<{{a}}>",
                                   "<b {{a}}>",
                                   "<b {{a}}=\"x\">",
                                   "<b x={{a}}>",
                                   "<b style=\"{{a}}\">",
                                   "<b onclick=\"x\">",
                                   "<iframe src=\"{{a}}\">",
                                   "<svg>",
                                   "<b x=y>",
                                   "</{{a}}>",
                                   "<img srcset=\"{{a}}\">",
                                   "<meta http-equiv=\"refresh\">",
                                   "<b",
                                   "<b x=\"",
                                   "<!--",
                                   "a < b",
                                   "<SCRIPT>"})
        EXPECT_NE(refusal(text), "") << text;
}

// Readers of mail follow HTML, which ends comments, style sheets and titles where XML would not.
TEST(MessageTemplate, CommentsEndWhereHtmlEndsThem) {
    for (const char *const text :
         {"<!--><script>alert(1)</script><!-- -->", "<!---><script>alert(1)</script><!-- -->",
          "<p>a</p><!-- --!><script>alert(1)</script><!-- -->", "<!-->", "<!--->", "<!-- --!>", "<!----!>-->",
          "<!-- a ---!> -->", "<!-- {{#a}}-{{/a}}-->", "<!--{{#a}}x{{/a}}>-->", "<!--{{#a}}-{{/a}}>-->",
          "<!doctype html><script>x</script>", "<![CDATA[><script>x</script>]]>", "<?x ?>", "</ b>", "<!-x><script>"})
        EXPECT_NE(refusal(text), "") << text;
    for (const char *const text :
         {"<!---->", "<!-- -->", "<!----->", "<!-- a -- b - > ! -->", "<!--x>-->", "<!-- <script> -->", "<!--!>-->",
          "<!doctype html><p>", "<![CDATA[x]]>", "{{#a}}<!-- x -->{{/a}}", "{{#a}}<!x>{{/a}}"})
        EXPECT_EQ(refusal(text), "") << text;
}

TEST(MessageTemplate, StyleSheetsAndTitlesAreText) {
    for (const char *const text :
         {"<title><b x=\"</title><script>alert(1)</script>\"></title>", "<title>", "<title></titles>", "<style></style",
          "<style></stylex><b x=\"</style><script>alert(1)</script>\">",
          "<style></style x=\"><b x=\"><script>alert(1)</script>\">", "<style></style/onload=\"x\">",
          "<style><{{a}}</style>", "<title></{{a}}</title>", "<title><!-- </title><script>x</script> --></title>",
          "<style></style ><script>x</script>", "<TITLE>x</TITLE><script>"})
        EXPECT_NE(refusal(text), "") << text;
    for (const char *const text :
         {"<title>{{a}} <b> x=\"</title><p>", "<style>b > a { } <</style><p>", "<style></ style></STYLE ><p>",
          "<title/>x</title/>", "{{#a}}<title>{{b}}</title>{{/a}}<i>{{a}}</i>"})
        EXPECT_EQ(refusal(text), "") << text;
    EXPECT_EQ(html("<title>{{a}}</title>", R"({"a": "</title><script>"})"),
              "<title>&lt;/title&gt;&lt;script&gt;</title>");
}

TEST(MessageTemplate, NamesEndAtTheWhiteSpaceOfHtml) {
    // Whatever else looks like white space is part of a name, and begins no attribute in whose quotes ">" is text.
    EXPECT_NE(refusal("<b\vx=\"><script>alert(1)</script>\">"), "");
    EXPECT_NE(refusal("<b x\v=y>"), "");
    EXPECT_NE(refusal("<b\u00a0x=\"><script>alert(1)</script>\">"), "");
    EXPECT_NE(refusal("<script\nx>"), "");
    EXPECT_EQ(refusal("<b\tx=\"1\"\ny\r\n=\n'2'\n>"), "");
}

TEST(MessageTemplate, SectionsStayInTheirPlace) {
    EXPECT_EQ(refusal("{{#a}}<b>{{x}}</b>{{/a}}<i>{{x}}</i>"), "");
    EXPECT_EQ(refusal("<b title=\"{{#a}}x{{/a}}\">"), "");
    EXPECT_NE(refusal("{{#a}}<b title=\"{{/a}}"), "");
    EXPECT_NE(refusal("<a href=\"{{#a}}https:{{/a}}{{b}}\">"), "");
    EXPECT_NE(refusal("{{#a}}<!--{{/a}}-->"), "");
}

TEST(MessageTemplate, KnowsItsNames) {
    const MessageTemplate read("{{#a}}{{b.c}}{{e|money:f}}{{/a}}{{^d}}{{/d}}", Medium::text);
    for (const char *const name : {"a", "b.c", "d", "e", "f"}) EXPECT_TRUE(read.names(name)) << name;
    EXPECT_FALSE(read.names("c"));
}

TEST(ValueForm, DatesAndTimes) {
    constexpr auto value =
        R"({"a": "2026-12-01T14:05:30.123+01:00", "b": "2024-02-29 00:00", "c": "2023-02-29T00:00", "d": "soon"})";
    EXPECT_EQ(render("{{a|datetime}}", value), "Tuesday, 1 December 2026, 14:05");
    EXPECT_EQ(render("{{a|datetime}}", value, Medium::text, "de-AT"), "Dienstag, 1. Dezember 2026, 14:05 Uhr");
    EXPECT_EQ(render("{{a|datetime}}", value, Medium::text, "fr"), "2026-12-01, 14:05");
    EXPECT_EQ(render("{{b|date}}/{{b|time}}", value), "Thursday, 29 February 2024/00:00");
    EXPECT_EQ(render("{{c|date}} {{d|date}} {{e|date}}", value), "2023-02-29T00:00 soon ");
    EXPECT_EQ(format_date({1970, 1, 1, 0, 0}, "en"), "Thursday, 1 January 1970");
    EXPECT_EQ(format_date({1, 3, 1, 0, 0}, "fr"), "0001-03-01");
}

TEST(ValueForm, Amounts) {
    constexpr auto value = R"({"a": 1250, "e": "EUR", "y": "JPY", "k": "KWD", "n": -5, "t": "x"})";
    EXPECT_EQ(render("{{a|money:e}}; {{a|money:y}}; {{a|money:k}}; {{n|money:e}}; {{t|money:e}}; {{a|money:z}}", value),
              "EUR 12.50; JPY 1250; KWD 1.250; EUR -0.05; x; 12.50");
    EXPECT_EQ(render("{{a|money:e}}", value, Medium::text, "de"), "12,50 EUR");
    EXPECT_EQ(render("{{a|money:e}}", value, Medium::text, "it"), "12.50 EUR");
}

TEST(MailAddress, IsOneMailbox) {
    for (const char *const good :
         {"a@b", "jane.doe+x@mail.example.com", "jürgen@exämple.de", "o'hara@x.example", "用户@例子.广告"})
        EXPECT_TRUE(is_mail_address(good)) << good;
    for (const char *const bad :
         {"",        "a",     "@b",    "a@",     "a@b@c",       "a b@c",   "a@b c",       "a@b\r\nBcc: c@d",
          "a@b\n",   "a,b@c", "<a@b>", "a@b>",   "a;b@c",       "\"a\"@b", "a..b@c",      ".a@b",
          "a@b.",    "a@-b",  "a@b-",  "a@b..c", "a@[1.2.3.4]", "a@b,c@d", "a\xc2\x85@b", "a@b\xe2\x80\xa8",
          "a@b\xff", "a:b@c", "a\\@b"})
        EXPECT_FALSE(is_mail_address(bad)) << bad;
    EXPECT_FALSE(is_mail_address(std::string(65, 'a') + "@b"));
    EXPECT_FALSE(is_mail_address("a@" + std::string(64, 'b')));
    EXPECT_FALSE(is_mail_address(std::string_view("a\0b@c", 5)));
}

TEST(MailAddress, SendersHaveNames) {
    const auto mailbox = parse_mailbox(" \"Müller & Söhne\" <post@x.example>");
    ASSERT_TRUE(mailbox);
    EXPECT_EQ(mailbox->name, "Müller & Söhne");
    EXPECT_EQ(mailbox->address, "post@x.example");
    EXPECT_EQ(parse_mailbox("post@x.example")->name, "");
    for (const char *const bad : {"", "<>", "x <y>", "a\r\nb <post@x.example>", "a<b <post@x.example>",
                                  "a\"b <post@x.example>", "<post@x.example> a"})
        EXPECT_FALSE(parse_mailbox(bad)) << bad;
    EXPECT_EQ(domain_of("a@b.example"), "b.example");
}
