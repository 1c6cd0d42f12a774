#include "courier/mime.hpp"
#include "common/encoding.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>
#include <curl/curl.h>
#include <memory>
#include <random>

namespace usher::courier {

namespace {

constexpr std::size_t longest_line = 998; // RFC 5322 section 2.1.1, without CRLF
constexpr std::size_t usual_line = 78;
constexpr std::size_t encoded_line = 76; // RFC 2047 section 2
constexpr std::size_t longest_id = 250;

// Nobody's text ends a header field and begins the next one.
void check_line(std::string_view text, const char *field) {
    if (std::any_of(text.begin(), text.end(), [](char c) { return is_control(c) && c != '\t'; }))
        throw MalformedMail(std::string(field) + " must be one line without control characters");
    if (!is_valid_utf8(text)) throw MalformedMail(std::string(field) + " is not valid UTF-8");
}

bool is_domain_character(char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; }

// "müller.example" as "xn--mller-kva.example": every server understands that, SMTPUTF8 (RFC 6531) or not. What is not
// part of a domain must not be part of the URL that it goes through: "evil.example#ü" would lose its end there.
std::string ascii_domain(const std::string &domain, const char *field) {
    if (is_ascii(domain)) return domain;
    if (!std::all_of(domain.begin(), domain.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x80 || is_domain_character(c); }))
        throw MalformedMail(std::string(field) + " is not an e-mail address");
#ifdef CURLU_PUNYCODE
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
    if (url != nullptr && curl_url_set(url.get(), CURLUPART_URL, ("http://" + domain + '/').c_str(), 0) == CURLUE_OK) {
        char *host = nullptr;
        const CURLUcode result = curl_url_get(url.get(), CURLUPART_HOST, &host, CURLU_PUNYCODE);
        // Of a name that cannot be converted, libcurl 7.88 leaves us the copy that it has made.
        const std::unique_ptr<char, decltype(&curl_free)> owner(host, &curl_free);
        if (result == CURLUE_OK && host != nullptr) return host;
    }
#endif
    throw MalformedMail(std::string(field) + " has a domain that cannot be written in ASCII");
}

// Labels between points, or "[192.0.2.1]" (RFC 5321 section 4.1.3).
bool is_domain(std::string_view text) {
    if (text.size() > 2 && text.front() == '[' && text.back() == ']')
        return text.find_first_not_of("0123456789.", 1) == text.size() - 1;
    return !text.empty() && text.front() != '.' && text.back() != '.' && text.find("..") == std::string_view::npos &&
           std::all_of(text.begin(), text.end(), is_domain_character);
}

void check_address(std::string_view address, const char *field) {
    const std::size_t at = address.rfind('@');
    const bool is_good = at != std::string_view::npos && at > 0 && at <= 64 && address.size() <= 254 &&
                         address.find_first_of("<>\t") == std::string_view::npos && is_domain(address.substr(at + 1));
    const std::string_view local = address.substr(0, is_good ? at : 0);
    const bool is_quoted = local.size() >= 3 && local.front() == '"' && local.back() == '"' &&
                           local.substr(1, local.size() - 2).find_first_of("\"\\") == std::string_view::npos;
    if (!is_good || (!is_quoted && local.find_first_of(" \t,;:\"()[]\\@") != std::string_view::npos))
        throw MalformedMail(std::string(field) + " is not an e-mail address");
}

// Words of RFC 2047, each with whole characters and at most 75 bytes long, in lines of at most 76. used: of the first
// line.
std::string encoded_words(std::size_t used, std::string_view text) {
    constexpr std::size_t around = 12; // "=?UTF-8?B?" and "?="
    std::string out;
    while (!text.empty()) {
        if (used + around + 8 > encoded_line) { // too little room for a character of four bytes
            out += "\r\n ";
            used = 1;
        }
        const std::string_view part = clip(text, (encoded_line - used - around) / 4 * 3);
        out += "=?UTF-8?B?" + base64_encode(part) + "?=";
        used = encoded_line;
        text.remove_prefix(part.size());
    }
    return out;
}

// Breaks a line of words at its spaces. What has no space to break at stays long.
std::string folded(std::size_t used, std::string_view text) {
    std::string out;
    while (!text.empty()) {
        std::size_t end = text.find_first_of(" \t", 1);
        if (end == std::string_view::npos) end = text.size();
        // A line of white space alone would end the header for some readers.
        const bool is_word = text.substr(0, end).find_first_not_of(" \t") != std::string_view::npos;
        if (used + end > usual_line && used > 1 && is_space(text.front()) && is_word) {
            out += "\r\n";
            used = 0;
        }
        out += text.substr(0, end);
        used += end;
        text.remove_prefix(end);
    }
    return out;
}

// Whether folded() has too few places to break at: those where a word follows white space.
bool has_long_stretch(std::string_view text) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_break = i + 1 < text.size() && is_space(text[i]) && !is_space(text[i + 1]);
        length = is_break ? 0 : length + 1;
        if (length > longest_line - 100) return true;
    }
    return false;
}

// A field of free text. "=?" in plain text would be taken for an encoded word.
std::string text_field(const std::string &name, std::string_view value) {
    check_line(value, name.c_str());
    const bool is_plain = is_ascii(value) && value.find("=?") == std::string_view::npos && !has_long_stretch(value);
    return name + ": " + (is_plain ? folded(name.size() + 2, value) : encoded_words(name.size() + 2, value)) + "\r\n";
}

std::string mailbox_field(const std::string &name, const NamedAddress &mailbox) {
    if (mailbox.name.empty()) return name + ": " + mailbox.address + "\r\n";
    std::string phrase;
    if (is_ascii(mailbox.name) && mailbox.name.size() <= 200 && mailbox.name.find("=?") == std::string::npos) {
        phrase = '"';
        for (const char c : mailbox.name) {
            if (c == '"' || c == '\\') phrase += '\\';
            phrase += c;
        }
        phrase += '"';
    } else {
        phrase = encoded_words(name.size() + 2, mailbox.name);
    }
    return name + ": " + phrase + "\r\n <" + mailbox.address + ">\r\n";
}

std::string date_field(std::time_t date) {
    static constexpr const char *days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char *months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&date, &utc);
    char text[64];
    std::snprintf(text, sizeof text, "Date: %s, %d %s %04d %02d:%02d:%02d +0000\r\n", days[utc.tm_wday], utc.tm_mday,
                  months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return text;
}

// What compose() writes itself, and what servers on the way write.
bool is_reserved(std::string_view name) {
    static constexpr std::string_view reserved[] = {"date",       "from",         "sender",   "to",
                                                    "cc",         "bcc",          "reply-to", "subject",
                                                    "message-id", "mime-version", "received", "return-path"};
    const auto is_name = [&](std::string_view each) { return equal_ignoring_case(each, name); };
    const auto starts = [&](std::string_view each) {
        return is_name(each) || (name.size() > each.size() && equal_ignoring_case(name.substr(0, each.size()), each));
    };
    return std::any_of(std::begin(reserved), std::end(reserved), is_name) || starts("content-") || starts("resent-") ||
           starts("dkim-");
}

void check_header_name(const std::string &name) {
    const bool is_good = !name.empty() && name.size() <= 70 && std::all_of(name.begin(), name.end(), [](char c) {
        return is_alphanumeric(c) || c == '-' || c == '_';
    });
    if (!is_good) throw MalformedMail("a header has a name that no header has");
    if (is_reserved(name)) throw MalformedMail("header must not be given: " + name);
}

// Line ends of any kind become CRLF.
std::string with_crlf(std::string_view text) {
    std::string out;
    out.reserve(text.size() + text.size() / 32 + 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        if (text[i] == '\r' || text[i] == '\n')
            out += "\r\n";
        else
            out += text[i];
    }
    if (!out.ends_with("\r\n")) out += "\r\n";
    return out;
}

// Whether every server carries the text as it is (RFC 2045 section 2.7).
bool is_7bit(std::string_view lines) {
    if (!is_ascii(lines) || lines.find('\0') != std::string_view::npos) return false;
    while (!lines.empty()) {
        const std::size_t end = lines.find("\r\n");
        if (end > longest_line) return false;
        lines.remove_prefix(end + 2);
    }
    return true;
}

// RFC 2045 section 6.7
std::string quoted_printable(std::string_view lines) {
    std::string out;
    std::size_t column = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i] == '\r') {
            out += "\r\n";
            column = 0;
            ++i;
            continue;
        }
        const bool is_last = i + 1 < lines.size() && lines[i + 1] == '\r';
        const char c = lines[i];
        const bool is_plain = (c >= '!' && c <= '~' && c != '=') || ((c == ' ' || c == '\t') && !is_last);
        if (column + (is_plain ? 1 : 3) > 75) {
            out += "=\r\n";
            column = 0;
        }
        if (is_plain) {
            out += c;
            ++column;
        } else {
            std::string digits;
            append_percent_encoded(digits, c); // "%C3": the same digits
            digits[0] = '=';
            out += digits;
            column += 3;
        }
    }
    return out;
}

std::string body_part(const char *type, std::string_view text) {
    const std::string lines = with_crlf(text);
    const bool is_plain = is_7bit(lines);
    return std::string("Content-Type: ") + type +
           "; charset=utf-8\r\nContent-Transfer-Encoding: " + (is_plain ? "7bit" : "quoted-printable") + "\r\n\r\n" +
           (is_plain ? lines : quoted_printable(lines));
}

// 128 random bits behind what neither base64 nor quoted-printable contains.
std::string boundary() {
    std::random_device random;
    std::string bytes;
    for (int i = 0; i < 16; ++i) bytes += static_cast<char>(random() & 0xff);
    return "=_" + hex_encode(bytes);
}

} // namespace

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

NamedAddress parse_mailbox(std::string_view text, const char *field) {
    check_line(text, field);
    text = trim(text, header_space);
    NamedAddress mailbox;
    std::string_view address = text;
    if (text.ends_with('>')) {
        const std::size_t open = text.rfind('<');
        if (open == std::string_view::npos) throw MalformedMail(std::string(field) + " is not an e-mail address");
        address = text.substr(open + 1, text.size() - open - 2);
        std::string_view name = trim(text.substr(0, open), header_space);
        if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
        for (std::size_t i = 0; i < name.size(); ++i) { // a quoted pair stands for its character
            if (name[i] == '\\' && i + 1 < name.size()) ++i;
            mailbox.name += name[i];
        }
    }
    const std::size_t at = std::min(address.rfind('@'), address.size());
    mailbox.address = std::string(address.substr(0, at));
    if (at < address.size()) mailbox.address += '@' + ascii_domain(std::string(address.substr(at + 1)), field);
    check_address(mailbox.address, field);
    return mailbox;
}

std::string compose(const Mail &mail, std::time_t date) {
    std::string out = date_field(date);
    out += mailbox_field("From", parse_mailbox(mail.sender, "sender"));
    if (!mail.reply_to.empty()) out += mailbox_field("Reply-To", parse_mailbox(mail.reply_to, "reply_to"));
    out += mailbox_field("To", parse_mailbox(mail.recipient, "recipient"));
    out += text_field("Subject", mail.subject);
    std::string_view id = mail.message_id;
    if (id.starts_with('<') && id.ends_with('>')) id = id.substr(1, id.size() - 2);
    check_line(id, "message_id");
    if (id.find_first_of("<> \t") != std::string_view::npos || id.find('@') == std::string_view::npos ||
        !is_ascii(id) || id.size() > longest_id)
        throw MalformedMail("message_id is not valid");
    out += "Message-ID: <" + std::string(id) + ">\r\n";
    bool says_automatic = false;
    for (const auto &[name, value] : mail.headers) {
        check_header_name(name);
        says_automatic = says_automatic || equal_ignoring_case(name, "auto-submitted");
        out += text_field(name, value);
    }
    // So that out-of-office programs do not answer (RFC 3834).
    if (!says_automatic) out += "Auto-Submitted: auto-generated\r\n";
    out += "MIME-Version: 1.0\r\n";
    if (mail.body_html.empty()) return out + body_part("text/plain", mail.body_text);
    if (mail.body_text.empty()) return out + body_part("text/html", mail.body_html);
    const std::string between = boundary();
    out += "Content-Type: multipart/alternative; boundary=\"" + between + "\"\r\n\r\n";
    out += "--" + between + "\r\n" + body_part("text/plain", mail.body_text);
    out += "--" + between + "\r\n" + body_part("text/html", mail.body_html);
    return out + "--" + between + "--\r\n";
}

} // namespace usher::courier
