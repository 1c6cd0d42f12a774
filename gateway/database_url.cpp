#include "database_url.hpp"
#include "config.hpp"
#include <algorithm>
#include <libpq-fe.h>
#include <vector>

namespace usher::gateway {

namespace {

bool is_keyword(const std::string &name) {
    PQconninfoOption *known = PQconndefaults();
    bool is_known = name == "ssl"; // libpq reads ssl=true, as JDBC writes it, for sslmode=require
    for (const PQconninfoOption *option = known; option != nullptr && option->keyword != nullptr; ++option)
        is_known = is_known || name == option->keyword;
    PQconninfoFree(known);
    return is_known;
}

// asyncpg and others call the mode ssl, which libpq knows with the value true only.
std::string parameter_for_libpq(const std::string &option, std::string parameter) {
    const std::size_t equals = parameter.find('=');
    const std::string name = parameter.substr(0, equals);
    if (name == "ssl" && parameter != "ssl=true") {
        static const std::vector<std::string> modes = {"disable", "allow",     "prefer",
                                                       "require", "verify-ca", "verify-full"};
        const std::string mode = equals == std::string::npos ? "" : parameter.substr(equals + 1);
        if (std::find(modes.begin(), modes.end(), mode) == modes.end())
            throw ConfigError(option + ": ssl in the URL must be true or a value of sslmode");
        return "sslmode=" + mode;
    }
    if (!is_keyword(name))
        throw ConfigError(option + ": the URL has a parameter \"" + name +
                          "\" that libpq does not know; leave out what is meant for another driver");
    return parameter;
}

std::string url_for_libpq(const std::string &option, const std::string &given, std::size_t scheme_end) {
    const std::string scheme = lower_case(given.substr(0, scheme_end));
    const std::string dialect = scheme.substr(0, scheme.find('+')); // postgresql+asyncpg: a driver of Python
    if (dialect != "postgresql" && dialect != "postgres")
        throw ConfigError(option + " is a URL of another kind of database; it begins with postgresql://");
    // As libpq finds them: a password may hold a ? as it is.
    std::size_t authority = scheme_end + 3;
    const std::size_t at = given.find_first_of("@/", authority);
    if (at != std::string::npos && given[at] == '@') authority = at + 1;
    const std::size_t question = given.find('?', authority);
    std::string url = "postgresql" + given.substr(scheme_end, question - scheme_end);
    if (question == std::string::npos) return url;
    std::string rest = given.substr(question + 1);
    for (char separator = '?'; !rest.empty(); separator = '&') {
        const std::size_t end = rest.find('&');
        url += separator + parameter_for_libpq(option, rest.substr(0, end));
        rest = end == std::string::npos ? "" : rest.substr(end + 1);
    }
    return url;
}

} // namespace

std::string connection_string(const std::string &option, const std::string &given) {
    // In a keyword/value string :// can only be part of a value, behind a =.
    const std::size_t scheme_end = given.find("://");
    const bool is_url = scheme_end != std::string::npos && given.find_first_of("= ") > scheme_end;
    std::string text = is_url ? url_for_libpq(option, given, scheme_end) : given;
    PQconninfoOption *parsed = PQconninfoParse(text.c_str(), nullptr);
    if (parsed == nullptr) // libpq's own message can quote a part of the string
        throw ConfigError(option + " is not a valid libpq connection string" + (is_url ? " or URL" : ""));
    PQconninfoFree(parsed);
    return text;
}

} // namespace usher::gateway
