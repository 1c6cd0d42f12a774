// From a route to its function and back: arguments, the call in a subtransaction, the answer.
#pragma once
#include "usher/http/message.hpp"
#include "usher/http/routes.hpp"

namespace usher::http {

/// Binds the arguments and calls the function, in a subtransaction: whatever it raises takes back what it did, and no
/// more. `segments` are those of the path, decoded.
Answer call_function(const Request &request, Route &route, const std::vector<std::string> &segments);

} // namespace usher::http
