// Addresses of mailboxes, as they may go into the envelope and the header of a message.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace usher::courier {

/// local@domain of RFC 5321 without quotes, with UTF-8 (RFC 6531). Nothing in it ends a line, a header or a command.
bool is_mail_address(std::string_view text);

struct Mailbox {
    std::string name; // may be empty
    std::string address;
};

/// "Name <address>" or "address". Nothing when it is neither, or the name would end the header.
std::optional<Mailbox> parse_mailbox(std::string_view text);

/// What stands behind the @.
std::string_view domain_of(std::string_view address);

} // namespace usher::courier
