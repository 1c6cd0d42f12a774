// What stands for a database: a libpq connection string, or the DATABASE_URL of other programs.
#pragma once
#include <string>

namespace usher::gateway {

/// What libpq understands, from what was given: itself, or a URL with what SQLAlchemy and its drivers add to it taken
/// off. Throws ConfigError, which names the option and never a value of it: there may be a password in it.
std::string connection_string(const std::string &option, const std::string &given);

} // namespace usher::gateway
