// Messages of usher-courier, made of whatever somebody calls themselves and writes.
#pragma once
#include "courier/mime.hpp"
#include "targets.hpp"
#include <algorithm>
#include <clocale>

namespace usher::fuzz {

/// The first line of text that is left, without its CRLF. Every line ends with one.
inline std::string_view take_line(std::string_view &text) {
    const std::size_t end = text.find("\r\n");
    must(end != std::string_view::npos);
    const std::string_view line = text.substr(0, end);
    must(line.size() <= 998 && line.find_first_of("\r\n") == std::string_view::npos);
    text.remove_prefix(end + 2);
    return line;
}

/// The fields of a header, unfolded; text begins with the body afterwards.
inline std::vector<std::pair<std::string, std::string>> take_head(std::string_view &text) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
        must(line.find_first_not_of(" \t") != std::string_view::npos && line.find('\0') == std::string_view::npos);
        if (line[0] == ' ' || line[0] == '\t') {
            must(!fields.empty());
            fields.back().second += line;
            continue;
        }
        const std::size_t colon = line.find(": ");
        must(colon != std::string_view::npos && colon > 0);
        fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    return fields;
}

/// What a reader sees of a text: encoded words decoded, the white space between them gone.
inline std::string seen(std::string_view value) {
    if (!value.starts_with("=?UTF-8?B?") && !value.starts_with(" =?UTF-8?B?")) return std::string(value);
    std::string out;
    while (!value.empty()) {
        value.remove_prefix(value.starts_with(' ') ? 1 : 0);
        must(value.starts_with("=?UTF-8?B?"));
        const std::size_t end = value.find("?=", 10);
        must(end != std::string_view::npos && end + 2 <= 75);
        const auto word = base64_decode(value.substr(10, end - 10));
        must(word && !word->empty() && is_valid_utf8(*word));
        out += *word;
        value.remove_prefix(end + 2);
    }
    return out;
}

/// A body as it was written, its lines ended by CRLF; text is the rest of the message, which ends at `end`.
inline std::string read_part(std::string_view &text, std::string_view encoding, std::string_view end) {
    std::string out;
    bool goes_on = false;
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        must(courier::is_ascii(line));
        if (!end.empty() && (line == end || line == std::string(end) + "--")) break;
        goes_on = false;
        if (encoding == "7bit") {
            must(line.find('\0') == std::string_view::npos);
            out += line;
        } else {
            must(encoding == "quoted-printable" && line.size() <= 76 && !line.ends_with(' ') && !line.ends_with('\t'));
            for (std::size_t i = 0; i < line.size(); ++i) {
                if (line[i] != '=') {
                    out += line[i];
                } else if (i + 1 == line.size()) {
                    goes_on = true;
                } else {
                    const auto byte = hex_decode(line.substr(i + 1, 2));
                    must(byte && byte->size() == 1);
                    out += *byte;
                    i += 2;
                }
            }
        }
        if (!goes_on) out += "\r\n";
    }
    must(!goes_on);
    return out;
}

/// As every line end were CRLF, and the last line had one.
inline std::string lines_of(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        if (text[i] == '\r' || text[i] == '\n') out += '\r';
        out += text[i] == '\r' ? '\n' : text[i];
    }
    if (!out.ends_with("\r\n")) out += "\r\n";
    return out;
}

inline void must_hold(const courier::Mail &mail) {
    const std::string message = courier::compose(mail, 1700000000);
    std::string_view rest = message;
    const auto fields = take_head(rest);
    // These fields and no others, whatever the texts say.
    std::vector<std::string> names = {"Date", "From"};
    if (!mail.reply_to.empty()) names.emplace_back("Reply-To");
    for (const char *name : {"To", "Subject", "Message-ID"}) names.emplace_back(name);
    for (const auto &header : mail.headers) names.push_back(header.first);
    for (const char *name : {"Auto-Submitted", "MIME-Version", "Content-Type"}) names.emplace_back(name);
    const bool has_both = !mail.body_text.empty() && !mail.body_html.empty();
    if (!has_both) names.emplace_back("Content-Transfer-Encoding");
    must(fields.size() == names.size());
    std::string type, encoding;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const auto &[name, value] = fields[i];
        must(name == names[i] && is_valid_utf8(value));
        if (name == "Subject") must(seen(value) == mail.subject);
        if (name == "X-Fuzz") must(seen(value) == mail.headers[0].second);
        const bool has_address = name == "From" || name == "To" || name == "Reply-To";
        must(courier::is_ascii(value) || has_address); // a local part outside ASCII: RFC 6532
        if (name == "Content-Type") type = value;
        if (name == "Content-Transfer-Encoding") encoding = value;
    }
    if (!has_both) {
        const std::string &body = mail.body_html.empty() ? mail.body_text : mail.body_html;
        must(read_part(rest, encoding, "") == lines_of(body));
        return;
    }
    const std::string_view before = "multipart/alternative; boundary=\"";
    must(type.starts_with(before) && type.ends_with('"'));
    const std::string between = "--" + type.substr(before.size(), type.size() - before.size() - 1);
    must(take_line(rest) == between);
    for (const std::string &body : {mail.body_text, mail.body_html}) {
        const auto part = take_head(rest);
        must(part.size() == 2 && part[0].first == "Content-Type");
        must(read_part(rest, part[1].second, between) == lines_of(body));
    }
    must(rest.empty());
}

/// The parts of the input are the parts of a message; what comes of it is refused, or is the message that it was.
inline void mail_target(std::string_view input) {
    static const bool has_utf8 = std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr; // as the program does
    must(has_utf8);
    std::string parts[7];
    for (std::string &part : parts) {
        const std::size_t end = std::min(input.find('\xff'), input.size()); // no byte of UTF-8
        part = input.substr(0, end);
        input.remove_prefix(std::min(end + 1, input.size()));
    }
    courier::Mail mail;
    mail.message_id = "1@shop.example";
    mail.sender = "shop@shop.example";
    mail.recipient = "ann@example.com";
    mail.subject = parts[0];
    mail.body_text = parts[1];
    mail.body_html = parts[2];
    if (!parts[3].empty()) mail.headers = {{"X-Fuzz", parts[3]}};
    const courier::Mail tame = mail;
    if (!parts[4].empty()) mail.recipient = parts[4];
    if (!parts[5].empty()) mail.sender = parts[5];
    mail.reply_to = parts[6];
    for (const courier::Mail &each : {mail, tame}) {
        try {
            must_hold(each);
        } catch (const courier::MalformedMail &error) {
            must(is_valid_utf8(error.what()));
        }
    }
    try {
        const courier::NamedAddress read = courier::parse_mailbox(parts[4], "recipient");
        const std::size_t at = read.address.rfind('@');
        must(at != std::string::npos && courier::is_ascii(read.address.substr(at)) && is_valid_utf8(read.name));
        must(read.address.find_first_of("\r\n\t<>") == std::string::npos &&
             read.address.find('\0') == std::string::npos);
        must(read.address[0] == '"' || read.address.find_first_of(" ,;:()") == std::string::npos);
        must(courier::parse_mailbox(read.address, "recipient").address == read.address); // in its own words as well
    } catch (const courier::MalformedMail &) {
    }
}

} // namespace usher::fuzz
