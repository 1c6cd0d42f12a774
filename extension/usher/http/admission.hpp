// Who is asking, may they, and how often.
#pragma once
#include "usher/http/message.hpp"
#include "usher/http/routes.hpp"

namespace usher::http {

/// Takes correlation id, address and agent from the headers: the context of audit rows.
void set_context(Request &request);

/// Takes the token, from the Authorization header or a cookie, and checks what the route asks for. An answer when the
/// request ends here.
std::optional<Answer> admit(Request &request, const Route &route);

/// Counts the request under the route's policy; `headers` gets what is left (draft-ietf-httpapi-ratelimit-headers-07
/// and later). An answer when it was one too many.
std::optional<Answer> limit(const Request &request, const Route &route, Answer &headers);

} // namespace usher::http
