// What administrators write as templates, filled with what anybody calls themselves.
#pragma once
#include "targets.hpp"
#include "usher_courier/messages/mail_address.hpp"
#include "usher_courier/messages/message_template.hpp"
#include <algorithm>

namespace usher::fuzz {

inline void template_target(std::string_view input) {
    using namespace courier;
    if (is_mail_address(input))
        must(input.find_first_of("\r\n <>,;:\"\\()[]") == std::string_view::npos && is_valid_utf8(input));
    if (const auto mailbox = parse_mailbox(input))
        must(is_mail_address(mailbox->address) && mailbox->name.find_first_of("\r\n<>\"") == std::string::npos);
    // Whatever a value is, it opens no tag, ends no attribute and begins no line.
    const std::string_view kind = R"(":"v","c":{"a":"v"},"d":["v"],"e":5})";
    const std::string_view hostile = R"(":"\"'<script>\r\nBcc: x&{{a}}\u2028","c":{"a":"<"},"d":["<"],"e":5})";
    json::Document tame, wild;
    const std::string tame_text = R"({"a":"v","b)" + std::string(kind),
                      wild_text = R"({"a":"javascript:alert('1')<\"\n","b)" + std::string(hostile);
    must(tame.parse(tame_text) && wild.parse(wild_text));
    for (const Medium medium : {Medium::line, Medium::text, Medium::html}) {
        try {
            const MessageTemplate read(input, medium);
            const std::string one = read.render(tame.root(), "de"), other = read.render(wild.root(), "en");
            must(is_valid_utf8(one) && is_valid_utf8(other));
            for (const char c : medium == Medium::html ? std::string_view("<>\"'\r\n") : std::string_view("\r\n"))
                must(std::count(one.begin(), one.end(), c) == std::count(other.begin(), other.end(), c));
        } catch (const Error &error) {
            must(error.sqlstate() == "UM001");
        }
    }
}

} // namespace usher::fuzz
