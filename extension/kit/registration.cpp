#include "kit/registration.hpp"
#include "common/json_object.hpp"

namespace usher::kit {

Datum error_codes(FunctionCallInfo, std::span<const ErrorCode *const> codes) {
    std::string list;
    for (const ErrorCode *const code : codes) {
        json::Object object;
        object.add("code", code->name);
        if (!code->sqlstate.empty()) object.add("sqlstate", code->sqlstate);
        object.add("http_status", static_cast<std::int64_t>(code->http_status)).add("description", code->description);
        list += (list.empty() ? "" : ",") + object.text();
    }
    return pg::result(pg::jsonb("[" + list + "]"));
}

} // namespace usher::kit
