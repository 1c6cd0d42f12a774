// Access control as SQL functions. NULL in, false out: a policy must never let a NULL through.
#include "pg/args.hpp"
#include "pg/moment.hpp"
#include "pg/result.hpp"
#include "usher/access/access.hpp"
#include "usher/access/access_cache.hpp"
#include "usher/audit/audit.hpp"
#include "usher/request/current_identity.hpp"

using namespace usher;

namespace {

/// What is kept at a call site of has_permission, so that a row-level security policy over a million rows costs two
/// comparisons a row, and a look-up by the scope if that is a column.
struct CallSite {
    pg::Moment moment;
    const permission::Windows *windows; // owned by the access cache; nullptr: nothing is held
    bool has_constant_scope;
    bool is_answered; // `answer` stands for all arguments: they are constants
    bool answer;
};

/// Is the argument written as a constant? A parameter is none: PL/pgSQL passes its variables so, and keeps the call
/// site while they change.
bool is_constant(FunctionCallInfo fcinfo, int argument) {
    const auto *const expression = reinterpret_cast<const FuncExpr *>(fcinfo->flinfo->fn_expr);
    return expression != nullptr && IsA(expression, FuncExpr) && argument < list_length(expression->args) &&
           IsA(list_nth(expression->args, argument), Const);
}

/// What the current identity's rules say about the permission in argument 0; nullptr: nothing. Fills the call site if
/// the permission is a constant.
[[gnu::noinline]] const permission::Windows *find_windows(FunctionCallInfo fcinfo) {
    const pg::Args args(fcinfo);
    const request::Identity *const who = args.is_null(0) ? nullptr : request::current();
    if (who == nullptr) return nullptr;
    if (who->is_api_key && !request::key_allows(who->user_id, args.text(0))) return nullptr;
    access::catch_up();
    const pg::Moment moment = pg::Moment::now();
    const permission::Windows *const windows = access::cached(who->user_id).windows(args.text(0));
    if (!is_constant(fcinfo, 0)) return windows;
    if (fcinfo->flinfo->fn_extra == nullptr)
        fcinfo->flinfo->fn_extra =
            pg::call([&] { return MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(CallSite)); });
    *static_cast<CallSite *>(fcinfo->flinfo->fn_extra) = {moment, windows, is_constant(fcinfo, 1), false, false};
    return windows;
}

/// The call site, if what it keeps is still so.
CallSite *current_site(FunctionCallInfo fcinfo) {
    auto *const site = static_cast<CallSite *>(fcinfo->flinfo->fn_extra);
    return site != nullptr && site->moment.is_now() ? site : nullptr;
}

bool is_open(const permission::Window &window) { return window.open(window.timeless() ? 0 : pg::clock_time()); }

using WindowAt = permission::Window (*)(FunctionCallInfo, const permission::Windows &); // by the scope in argument 1

/// What the call site knows; nothing when the question is to be asked anew. For every row of a scan: throws nothing and
/// calls nothing that could.
template <WindowAt at> std::optional<bool> kept_answer(FunctionCallInfo fcinfo) {
    const CallSite *const site = current_site(fcinfo);
    if (site == nullptr) return std::nullopt;
    if (site->is_answered) return site->answer;
    if (site->windows == nullptr) return false;
    const permission::Window window = fcinfo->args[1].isnull ? site->windows->everywhere() : at(fcinfo, *site->windows);
    return is_open(window);
}

/// Asks anew, and leaves at the call site what may be kept.
template <WindowAt at> bool find_answer(FunctionCallInfo fcinfo) {
    const permission::Windows *const windows = find_windows(fcinfo);
    if (windows == nullptr) return false;
    const permission::Window window = fcinfo->args[1].isnull ? windows->everywhere() : at(fcinfo, *windows);
    const bool answer = is_open(window);
    if (CallSite *const site = current_site(fcinfo); site != nullptr && site->has_constant_scope && window.timeless()) {
        site->answer = answer;
        site->is_answered = true;
    }
    return answer;
}

template <WindowAt at> Datum has_permission(FunctionCallInfo fcinfo) {
    if (const std::optional<bool> kept = kept_answer<at>(fcinfo)) return BoolGetDatum(*kept);
    return pg::entry([fcinfo] { return BoolGetDatum(find_answer<at>(fcinfo)); });
}

permission::Window at_uuid(FunctionCallInfo fcinfo, const permission::Windows &windows) {
    Uuid scope;
    std::memcpy(scope.bytes.data(), DatumGetUUIDP(fcinfo->args[1].value)->data, UUID_LEN);
    return windows.at(scope);
}

permission::Window at_text(FunctionCallInfo fcinfo, const permission::Windows &windows) {
    return windows.at(pg::Args(fcinfo).text(1));
}

} // namespace

USHER_SYMBOL(usher_access_has_permission_uuid)
Datum usher_access_has_permission_uuid(PG_FUNCTION_ARGS) { return has_permission<at_uuid>(fcinfo); }

// Reading text may fail, so all of it happens inside.
USHER_FUNCTION(usher_access_has_permission) {
    const std::optional<bool> kept = kept_answer<at_text>(fcinfo);
    return BoolGetDatum(kept ? *kept : find_answer<at_text>(fcinfo));
}

USHER_FUNCTION(usher_access_has_permission_somewhere) {
    const CallSite *const site = current_site(fcinfo);
    const permission::Windows *const windows = site != nullptr ? site->windows : find_windows(fcinfo);
    return BoolGetDatum(windows != nullptr && windows->open_somewhere(pg::clock_time()));
}

USHER_FUNCTION(usher_access_has_role) {
    const pg::Args args(fcinfo);
    const request::Identity *const who = request::current();
    if (who == nullptr || args.is_null(0)) return BoolGetDatum(false);
    // A role is more than the permissions that a key was given.
    if (!request::stands_for_whole(who->user_id)) return BoolGetDatum(false);
    return BoolGetDatum(access::has_role(who->user_id, args.text(0), args.optional_text(1)));
}

USHER_FUNCTION(usher_access_user_has_permission) {
    const pg::Args args(fcinfo);
    if (args.is_null(0) || args.is_null(1)) return BoolGetDatum(false);
    return BoolGetDatum(access::has_permission(args.uuid(0), args.text(1), args.optional_text(2)));
}

USHER_FUNCTION(usher_access_user_has_role) {
    const pg::Args args(fcinfo);
    if (args.is_null(0) || args.is_null(1)) return BoolGetDatum(false);
    return BoolGetDatum(access::has_role(args.uuid(0), args.text(1), args.optional_text(2)));
}

/// usher._kept_access(user_id): what the cache knows of a user, for people to look at.
USHER_FUNCTION(usher_access_kept_access) {
    const Uuid user = pg::Args(fcinfo).uuid(0);
    const std::optional<std::string> role = access::shown_role(user);
    const std::vector<std::string> roles = access::roles_of(user), permissions = access::permissions_of(user);
    pg::RowBuilder row(fcinfo);
    if (role) row.set("role", pg::text(*role));
    return row.set("roles", pg::text_array(roles)).set("permissions", pg::text_array(permissions)).finish();
}

USHER_FUNCTION(usher_access_can_manage) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) return BoolGetDatum(false);
    std::optional<Uuid> actor = args.optional_uuid(1);
    if (!actor)
        if (const request::Identity *const who = request::current()) actor = who->user_id;
    return BoolGetDatum(actor && request::key_allows(*actor, args.optional_text(2).value_or("user:manage")) &&
                        access::can_manage(*actor, args.uuid(0)));
}

USHER_FUNCTION(usher_access_require_permission) {
    const pg::Args args(fcinfo);
    const std::optional<Uuid> target = args.optional_uuid(1);
    access::require(args.text(0), target ? &*target : nullptr);
    return pg::null_result(fcinfo);
}

/// usher._decide(user_id, permission, scope)
USHER_FUNCTION(usher_access_decide) {
    const pg::Args args(fcinfo);
    std::optional<Uuid> user = args.optional_uuid(0);
    if (!user)
        if (const request::Identity *const who = request::current()) user = who->user_id;
    permission::Decision decision;
    const auto name = args.is_null(1) ? std::nullopt : permission::parse(args.text(1));
    if (user && name && request::key_allows(*user, args.text(1))) {
        access::catch_up();
        decision = access::cached(*user).rules.decide(*name, args.optional_text(2), pg::clock_time());
    }
    pg::RowBuilder row(fcinfo);
    row.set("allowed", pg::boolean(decision.allowed)).set("via", pg::text(permission::to_string(decision.via)));
    if (decision.expires_at != permission::never) row.set("expires_at", pg::timestamptz(decision.expires_at));
    return row.finish();
}

/// usher._log_check(data, allowed, resource_type, resource_id): the trace of check_access(), which outlives a rollback.
USHER_FUNCTION(usher_access_log_check) {
    const pg::Args args(fcinfo);
    const bool allowed = args.boolean(1);
    const std::string data = args.output(0);
    const std::string type(args.text(2));
    const std::string id(args.optional_text(3).value_or(""));
    audit::Event event;
    event.event_type = "access.checked";
    event.data = data;
    event.severity = allowed ? "info" : "warning";
    event.result = allowed ? "success" : "denied";
    event.resource_type = type;
    event.resource_id = id;
    event.source = "application"; // which asked
    event.survives_rollback = true;
    audit::log_event(event);
    return pg::null_result(fcinfo);
}
