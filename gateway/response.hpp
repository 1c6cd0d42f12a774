// An answer, and how it becomes bytes.
#pragma once
#include "request.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::gateway {

struct Response {
    int status = 200;
    std::vector<Field> headers; // names as they are written
    std::string body;
    bool close = false;          // the connection ends with this answer
    bool says_it_stays = false;  // HTTP/1.0 takes silence for an end
    bool spoils_session = false; // the database connection must not be used again
    std::string route;           // the route's template, for metrics and the log; empty when no route was found
};

/// The value of a header, or nullptr.
const std::string *find_header(const Response &response, std::string_view name);

/// Adds a header unless it is there.
void default_header(Response &response, const char *name, std::string_view value);

/// "Not Found" for 404 (RFC 9110 section 15).
const char *reason_phrase(int status);

/// Headers that describe the connection or that this program writes itself: not to be taken from anybody else.
bool is_connection_header(std::string_view lower_case_name);

/// Status line and headers as sent to a client.
std::string serialize_head(const Response &response);
/// Whether the body follows; a request with HEAD gets its length only.
bool sends_body(const Response &response, bool to_head);

} // namespace usher::gateway
