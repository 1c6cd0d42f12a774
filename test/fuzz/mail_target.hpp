// What the courier writes as a message, whatever stands in its parts: nobody's text begins a header field, a part or a
// line.
#pragma once
#include "targets.hpp"
#include <algorithm>
#include <set>

// The courier is a program of its own; its one file that writes messages is compiled in here.
#include "../../gateway/courier/mime.cpp" // NOLINT(bugprone-suspicious-include)

namespace usher::courier {

// In the place of the one that asks a library.
std::optional<std::string> ascii_domain(const std::string &domain) {
    return is_ascii(domain) ? std::optional(domain) : std::nullopt;
}

} // namespace usher::courier

namespace usher::fuzz {

/// Lines of the head, each with what it goes on in. Every line ends with CRLF, and no CR or LF stands alone.
inline std::vector<std::string> fields_of_head(std::string_view message, std::string_view &body) {
    std::vector<std::string> fields;
    while (true) {
        const std::size_t end = message.find("\r\n");
        must(end != std::string_view::npos && end <= 998);
        const std::string_view line = message.substr(0, end);
        must(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
        message.remove_prefix(end + 2);
        if (line.empty()) break;
        if (is_space(line.front())) {
            must(!fields.empty() && line.find_first_not_of(" \t") != std::string_view::npos);
            fields.back() += line;
        } else {
            fields.emplace_back(line);
        }
    }
    body = message;
    return fields;
}

inline void check_message(const courier::Mail &mail, std::string_view message) {
    std::string_view body;
    std::multiset<std::string> found,
        wanted{"date", "from", "to", "subject", "message-id", "mime-version", "content-type"};
    const auto lower = [](std::string name) {
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
        return name;
    };
    const bool has_parts = !mail.body_html.empty() && !mail.body_text.empty();
    if (!has_parts) wanted.insert("content-transfer-encoding");
    if (!mail.reply_to.empty()) wanted.insert("reply-to");
    bool says_automatic = false;
    for (const auto &[name, value] : mail.headers) {
        wanted.insert(lower(name));
        says_automatic = says_automatic || lower(name) == "auto-submitted";
    }
    if (!says_automatic) wanted.insert("auto-submitted");
    std::string separator;
    for (const std::string &field : fields_of_head(message, body)) {
        const std::size_t colon = field.find(": ");
        must(colon != std::string::npos);
        const std::string name = lower(field.substr(0, colon));
        found.insert(name);
        if (name == "content-type" && has_parts) {
            const std::size_t begin = field.find("boundary=\"") + 10;
            separator = "--" + field.substr(begin, field.size() - begin - 1);
        }
    }
    must(found == wanted); // no more, no fewer, none twice
    must(body.ends_with("\r\n") || body.empty());
    for (std::size_t at = 0; at < body.size(); ++at) {
        must(body[at] != '\r' || (at + 1 < body.size() && body[at + 1] == '\n'));
        must(body[at] != '\n' || (at > 0 && body[at - 1] == '\r'));
        must((body[at] & 0x80) == 0 && body[at] != '\0');
    }
    if (!has_parts) return;
    int parts = 0;
    for (std::size_t at = body.find(separator); at != std::string_view::npos; at = body.find(separator, at + 1))
        ++parts;
    must(parts == 3);
}

/// Fields of a message, separated by bytes that no text has (0xff): sender, recipient, subject, …
inline void mail_target(std::string_view input) {
    std::array<std::string, 9> parts;
    for (std::string &part : parts) {
        const std::size_t end = std::min(input.find('\xff'), input.size());
        part = input.substr(0, end);
        input.remove_prefix(std::min(end + 1, input.size()));
    }
    const auto or_usual = [](const std::string &part, const char *usual) { return part.empty() ? usual : part; };
    courier::Mail whole;
    whole.sender = or_usual(parts[0], "Shop <shop@example.com>");
    whole.recipient = or_usual(parts[1], "ann@example.com");
    whole.subject = parts[2];
    whole.message_id = or_usual(parts[3], "1@example.com");
    whole.reply_to = parts[4];
    whole.body_text = parts[5];
    whole.body_html = parts[6];
    if (!parts[7].empty() || !parts[8].empty()) whole.headers = {{parts[7], parts[8]}, {"List-Unsubscribe", parts[8]}};
    // Together, and each alone: what is refused in one part must not hide what another lets through.
    std::vector<courier::Mail> mails{whole};
    for (int only = 0; only < 6; ++only) {
        courier::Mail mail;
        mail.sender = only == 0 ? whole.sender : "shop@example.com";
        mail.recipient = only == 1 ? whole.recipient : "ann@example.com";
        mail.subject = only == 2 ? whole.subject : "x";
        mail.message_id = only == 3 ? whole.message_id : "1@example.com";
        if (only == 4) mail.reply_to = whole.reply_to;
        mail.body_text = only == 5 ? whole.body_text : "x";
        mail.body_html = only == 5 ? whole.body_html : "";
        mails.push_back(mail);
        if (only == 5 && !whole.headers.empty())
            for (const auto &header : whole.headers) {
                mails.push_back(mail);
                mails.back().headers = {header};
            }
    }
    for (const courier::Mail &mail : mails) {
        try {
            check_message(mail, courier::compose(mail, 1700000000));
        } catch (const courier::MalformedMail &error) {
            must(std::string_view(error.what()).find_first_of("\r\n") == std::string_view::npos);
        }
    }
}

} // namespace usher::fuzz
