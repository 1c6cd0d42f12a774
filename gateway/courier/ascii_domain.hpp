// Names of domains as every server understands them. Apart from the rest of messages, since it asks a library.
#pragma once
#include <optional>
#include <string>

namespace usher::courier {

/// "müller.example" as "xn--mller-kva.example" (RFC 5891), which every server understands, SMTPUTF8 (RFC 6531) or not;
/// nothing for what cannot be written so.
std::optional<std::string> ascii_domain(const std::string &domain);

} // namespace usher::courier
