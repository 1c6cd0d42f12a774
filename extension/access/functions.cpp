// Access control as SQL functions. NULL in, false out: a policy must never let a NULL through.
#include "access/access.hpp"
#include "access/cache.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "request/identity.hpp"

using namespace usher;

namespace {

/// The answer's ingredients, kept at the call site of has_permission while the permission argument is a constant there.
/// A row-level security policy over a million rows then costs one comparison per row instead of a look-up.
struct CallSite {
    std::uint64_t stamp; // of the access cache; 0: nothing kept
    Uuid user;
    const permission::Windows *windows; // owned by the access cache, valid as long as the stamp
};

/// What the current identity's rules say about the permission in argument 0; nullptr: nothing.
const permission::Windows *current_windows(FunctionCallInfo fcinfo) {
    const request::Identity *const who = request::current();
    if (who == nullptr) return nullptr;
    if (who->is_api_key && !request::key_allows(who->user_id, pg::Args(fcinfo).text(0))) return nullptr;
    const std::uint64_t stamp = access::cache_stamp();
    auto *site = static_cast<CallSite *>(fcinfo->flinfo->fn_extra);
    if (site != nullptr && site->stamp == stamp && site->user == who->user_id) return site->windows;

    access::UserAccess &mine = access::cached(who->user_id);
    const permission::Windows *const windows = mine.windows(pg::Args(fcinfo).text(0));
    if (!pg::call([&] { return get_fn_expr_arg_stable(fcinfo->flinfo, 0); })) return windows;
    if (site == nullptr) {
        site = static_cast<CallSite *>(
            pg::call([&] { return MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(CallSite)); }));
        fcinfo->flinfo->fn_extra = site;
    }
    *site = {access::stamp_of_pointers(), who->user_id, windows}; // taking news in now could take the pointer away
    return windows;
}

Datum answer(const permission::Window &window) {
    return BoolGetDatum(window.open(window.timeless() ? 0 : pg::clock_time()));
}

} // namespace

USHER_FUNCTION(usher_access_has_permission) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) return BoolGetDatum(false);
    const permission::Windows *const windows = current_windows(fcinfo);
    if (windows == nullptr) return BoolGetDatum(false);
    return answer(args.is_null(1) ? windows->everywhere() : windows->at(args.text(1)));
}

USHER_FUNCTION(usher_access_has_permission_uuid) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) return BoolGetDatum(false);
    const permission::Windows *const windows = current_windows(fcinfo);
    if (windows == nullptr) return BoolGetDatum(false);
    return answer(args.is_null(1) ? windows->everywhere() : windows->at(args.uuid(1)));
}

USHER_FUNCTION(usher_access_has_permission_somewhere) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) return BoolGetDatum(false);
    const permission::Windows *const windows = current_windows(fcinfo);
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

USHER_FUNCTION(usher_access_can_manage) {
    const pg::Args args(fcinfo);
    if (args.is_null(0)) return BoolGetDatum(false);
    std::optional<Uuid> actor = args.optional_uuid(1);
    if (!actor)
        if (const request::Identity *const who = request::current()) actor = who->user_id;
    return BoolGetDatum(actor && request::key_allows(*actor, "user:manage") &&
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
        access::cache_stamp();
        decision = access::cached(*user).rules.decide(*name, args.optional_text(2), pg::clock_time());
    }
    pg::RowBuilder row(fcinfo);
    row.set("allowed", pg::boolean(decision.allowed)).set("via", pg::text(permission::to_string(decision.via)));
    if (decision.expires_at != permission::never) row.set("expires_at", pg::timestamptz(decision.expires_at));
    return row.finish();
}
