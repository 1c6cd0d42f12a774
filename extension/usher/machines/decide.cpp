#include "usher/machines/decide.hpp"
#include "common/json.hpp"
#include "pg/foreign_call.hpp"
#include "usher/access/access.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::machines {

namespace {
Refused ask_permission(const machine::Transition &transition, const Change &change) {
    if (transition.permission.empty()) return {};
    const request::Identity *const identity = request::current();
    if (identity == nullptr) {
        // a role that administers usher acts for itself; everybody else must say who they are
        if (!request::is_lost() && access::outer_role_is_trusted()) return {};
        return {"permission", "no user is authenticated"};
    }
    const Attachment &attachment = *change.attachment;
    const std::optional<std::string> scope =
        attachment.scope == 0 ? std::nullopt : column_text(change.after, change.desc, attachment.scope);
    if (access::has_permission(identity->user_id, transition.permission, scope)) return {};
    return {"permission", "permission " + transition.permission + " is missing"};
}

// Guards run as their owner: whoever may change the row need not be allowed to read what the guard looks at.
Refused ask_guard(const machine::Transition &transition, const Change &change) {
    if (transition.guard.empty()) return {};
    const Guard guard = find_guard(transition.guard);
    struct Answer {
        bool is_null;
        bool yes;
        const char *text;
    };
    const Answer answer = pg::call([&]() -> Answer {
        const bool is_new = change.before == nullptr;
        const pg::ForeignArgument rows[] = {{is_new ? Datum{0} : row_to_jsonb(change.before, change.desc), is_new},
                                            {row_to_jsonb(change.after, change.desc)}};
        const pg::ForeignResult result = pg::call_as_owner(guard.function, rows);
        if (result.is_null) return {true, false, nullptr};
        if (guard.result == BOOLOID) return {false, DatumGetBool(result.value), nullptr};
        return {false, false, TextDatumGetCString(result.value)};
    });
    if (guard.result == BOOLOID) {
        if (answer.yes) return {};
        return {"guard", "guard " + transition.guard + " refuses"};
    }
    if (answer.is_null || *answer.text == '\0') return {};
    return {"guard", answer.text};
}

bool is_blank(const std::string &text) { return text.find_first_not_of(" \t\r\n") == std::string::npos; }

Refused ask_reason(const machine::Transition &transition, const Change &change) {
    if (!transition.requires_reason) return {};
    const AttrNumber column = change.attachment->reason;
    if (column == 0) return {"reason", "the table is attached without a reason_column"};
    const std::optional<std::string> reason = column_text(change.after, change.desc, column);
    if (reason && !is_blank(*reason)) return {};
    return {"reason",
            "a reason is required in column " + std::string(NameStr(TupleDescAttr(change.desc, column - 1)->attname))};
}
} // namespace

Guard find_guard(std::string_view signature) {
    const std::string text(signature);
    const Guard found = pg::call([&]() -> Guard {
        LOCAL_FCINFO(call, 1);
        InitFunctionCallInfoData(*call, nullptr, 1, InvalidOid, nullptr, nullptr);
        call->args[0] = {CStringGetTextDatum(text.c_str()), false};
        const Oid function = DatumGetObjectId(to_regprocedure(call)); // NULL when there is none
        if (call->isnull) return {};
        const HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
        if (!HeapTupleIsValid(tuple)) return {};
        const auto *const form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
        const bool fits = form->prokind == PROKIND_FUNCTION && !form->proretset && form->pronargs == 2 &&
                          form->proargtypes.values[0] == JSONBOID && form->proargtypes.values[1] == JSONBOID;
        const Guard made{fits ? function : InvalidOid, form->prorettype};
        ReleaseSysCache(tuple);
        return made;
    });
    if (!OidIsValid(found.function) || (found.result != BOOLOID && found.result != TEXTOID))
        throw Error(errc::not_configured,
                    "guard " + json::quote(signature) +
                        " is not a function (jsonb, jsonb) that returns boolean or text",
                    R"({"guard":)" + json::quote(signature) + "}");
    return found;
}

Refused conditions(const machine::Transition &transition, const Change &change, bool with_reason) {
    if (Refused refused = ask_permission(transition, change)) return refused;
    if (Refused refused = ask_guard(transition, change)) return refused;
    return with_reason ? ask_reason(transition, change) : Refused{};
}

bool changes_columns(const machine::Transition &transition, const Change &change) {
    return pg::call([&] {
        for (const std::string &name : transition.columns) {
            const int column = SPI_fnumber(change.desc, name.c_str());
            if (column <= 0) continue;
            const Form_pg_attribute attribute = TupleDescAttr(change.desc, column - 1);
            bool old_null = false, new_null = false;
            const Datum before = heap_getattr(change.before, column, change.desc, &old_null);
            const Datum after = heap_getattr(change.after, column, change.desc, &new_null);
            if (old_null != new_null) return true;
            if (!old_null && !datum_image_eq(before, after, attribute->attbyval, attribute->attlen)) return true;
        }
        return false;
    });
}

} // namespace usher::machines
