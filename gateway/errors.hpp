// What the gateway answers when something goes wrong: the only place that turns a failure into a status.
#pragma once
#include "request.hpp"
#include "response.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::gateway {

/// Thrown to refuse a request. The connection stays open unless the bytes after the request cannot be told apart.
struct Refused {
    int status;
    std::string code;   // stable, for programs
    std::string detail; // for people; never echoes what the client sent
    std::vector<Field> headers = {};
    bool close = false;
};

/// An answer of type application/problem+json (RFC 9457).
/// instance: the path of the request; empty when it could not be read.
Response problem(const Refused &refusal, std::string_view instance, std::string_view correlation_id);

/// How an ERROR of the server, which usher.http_request did not turn into an answer itself, looks from outside.
Refused from_sqlstate(std::string_view sqlstate);

/// The database cannot be reached, or went away.
Refused database_unavailable(int retry_after_seconds = 1);

} // namespace usher::gateway
