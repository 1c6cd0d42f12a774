// One-time tokens: 256 random bits that are sent to an address and prove it. Stored as SHA-256, used once.
#pragma once
#include "usher/identity/accounts.hpp"
#include <vector>

namespace usher::identity {

/// Purposes, as in usher.one_time_tokens.
namespace purpose {
inline constexpr const char *email_verification = "email_verification", *password_reset = "password_reset",
                            *email_change = "email_change";
}

/// Makes a token for `email` and ends the open one of the same purpose. With an event name, publishes that event with
/// the token for whoever sends mail.
std::string issue_one_time_token(const Uuid &user_id, const char *purpose, std::string_view email,
                                 std::string_view event = {}, std::string_view registration = {});

/// Sends the token of a first verification to a new or unverified account. `registration`: what somebody entered who
/// registers with an address that an unverified account has already (JSON, with the hash of their password).
void send_email_verification(const Account &account, std::string_view registration = {});

struct OneTimeToken {
    const char *error = nullptr; // invalid_token, token_expired
    Uuid user_id;
    std::string email, purpose;
    std::string registration; // kept with it, or empty
    bool mailed = false;      // it went to that address in an event, so whoever has it reads that mail
};

/// What the token stands for, without using it up.
OneTimeToken find_one_time_token(std::string_view token, const std::vector<std::string> &purposes);

/// Checks and marks in one statement: of any number of calls at the same time one gets it.
OneTimeToken use_one_time_token(std::string_view token, const std::vector<std::string> &purposes);

/// Ends open tokens of a user and cuts them out of their events: of one purpose or, with nullptr, all of them and
/// codes.
void end_one_time_tokens(const Uuid &user_id, const char *purpose);

} // namespace usher::identity
