// A message as text: header fields and body as RFC 5322, RFC 2045 to 2047 and RFC 6532 want them. Does no I/O.
#pragma once
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace usher::courier {

struct Mail {
    std::string message_id; // without the angle brackets
    std::string sender;     // "shop@example.com" or "The Shop <shop@example.com>"
    std::string reply_to;   // may be empty, like body_text or body_html
    std::string recipient;
    std::string subject;
    std::string body_text;
    std::string body_html;
    std::vector<std::pair<std::string, std::string>> headers;
};

/// What a part of a message must not hold: a line break where a header would end, an address that is none.
struct MalformedMail : std::runtime_error {
    using runtime_error::runtime_error;
};

struct NamedAddress {
    std::string name;    // as people read it, UTF-8; may be empty
    std::string address; // local part and domain; the domain in ASCII (RFC 5891)
};

/// Throws MalformedMail. field: what to call it in the message.
NamedAddress parse_mailbox(std::string_view text, const char *field);

/// The whole message, lines ended by CRLF. Throws MalformedMail.
std::string compose(const Mail &mail, std::time_t date);

} // namespace usher::courier
