// The form that RFC 6749 wants: parameters form-encoded, the client's credentials in Basic or in the body.
#pragma once
#include "usher/http/function.hpp"
#include "usher/http/message.hpp"

namespace usher::http {

/// Puts the arguments of a form-encoded request into `body`, a JSON object. Parameters that the function does not have
/// are left out (section 3.2: they are ignored), and so are empty ones (section 3.1). An answer when the request is
/// malformed.
std::optional<Answer> read_form(const Request &request, const Function &function, std::string &body);

/// A client's id and secret, in Basic or in the form (section 2.3.1). Nothing when the request has none; empty ones
/// when they cannot be read.
struct ClientCredentials {
    std::string id, secret;
};
std::optional<ClientCredentials> client_credentials(const Request &request);

} // namespace usher::http
