// How a trigger function was called. For C++ frames; those that stay plain check it themselves.
#pragma once
#include "common/json.hpp"
#include "pg/guard.hpp"

namespace usher::pg {

/// Throws 39P01 unless the function was called by a trigger that `fits`; `when` says what that is: "BEFORE UPDATE for
/// each row". Asked at every call: one trigger can fire for several events of a statement, of MERGE for instance.
template <class F>
TriggerData *require_trigger(FunctionCallInfo fcinfo, const F &fits, std::string_view when, const char *hint = "") {
    if (!CALLED_AS_TRIGGER(fcinfo)) throw Error("39P01", "function must be called as a trigger");
    auto *const data = reinterpret_cast<TriggerData *>(fcinfo->context);
    if (!fits(*data))
        throw Error("39P01", "trigger " + json::quote(data->tg_trigger->tgname) + " must fire " + std::string(when), "",
                    hint);
    return data;
}

} // namespace usher::pg
