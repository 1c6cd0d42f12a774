#include "kit/handler.hpp"
#include "pg/foreign_call.hpp"
#include "pg/time_limit.hpp"

namespace usher::kit {

void call_handler(Oid function, std::span<const pg::Param> arguments, int seconds) {
    std::vector<pg::ForeignArgument> values;
    values.reserve(arguments.size());
    for (const pg::Param &each : arguments) {
        const bool is_null = each.kind == pg::Param::Kind::null;
        values.push_back({is_null ? Datum{0} : pg::result(each), is_null});
    }
    pg::within(seconds, "the handler took longer than usher.handler_timeout",
               [&] { pg::call([&] { (void)pg::call_as_owner(function, values); }); });
}

} // namespace usher::kit
