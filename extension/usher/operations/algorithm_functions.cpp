// usher._algorithms(): the names that tables and functions of SQL accept, from the tables in C++ that say what they
// mean.
#include "common/jwt.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/limits/ratelimit.hpp"

using namespace usher;

namespace {
std::vector<std::string> names_of(std::string_view kind) {
    std::vector<std::string> names;
    if (kind == "rate_limit") {
        for (const ratelimit::Algorithm each : ratelimit::all_algorithms())
            names.emplace_back(ratelimit::name_of(each));
    } else if (kind == "jwt" || kind == "jwt_key_pair") {
        for (const JwtAlgorithm each : jwt_algorithms(kind == "jwt")) names.emplace_back(to_string(each));
    } else {
        throw Error(errc::invalid_argument, "there is no such kind of algorithms");
    }
    return names;
}
} // namespace

/// usher._algorithms(kind)
USHER_FUNCTION(usher_operations_algorithms) {
    const std::vector<std::string> names = names_of(pg::Args(fcinfo).text(0));
    return pg::result(pg::text_array(names));
}
