#include "pg/cache.hpp"
#include "pg/moment.hpp"

namespace usher::pg {

namespace {
Invalidation *first = nullptr; // all that were ever asked, linked; never removed
std::uint64_t changes = 1;
} // namespace

void Invalidation::on_relcache_change(Datum, Oid relation) noexcept {
    ++changes;
    for (Invalidation *each = first; each != nullptr; each = each->next_) {
        if (OidIsValid(relation) && OidIsValid(each->relation_) && relation != each->relation_) continue;
        ++each->generation_;
        ++epoch;
        each->relation_ = InvalidOid; // it may have been dropped and made anew: look it up again
    }
}

void Invalidation::watch() {
    static constinit bool registered = false; // one slot of the server's few, shared by all caches
    if (registered) return;
    CacheRegisterRelcacheCallback([](Datum arg, Oid relation) { on_relcache_change(arg, relation); }, 0);
    // a renamed schema renames what is in it; a function may be replaced, or forbidden, that a table runs for its rows;
    // a domain may get another constraint, of which nothing is said about the tables that have it
    for (const int each : {NAMESPACEOID, PROCOID, TYPEOID})
        CacheRegisterSyscacheCallback(
            each, [](Datum, int, uint32) { ++changes; }, 0);
    registered = true;
}

void Invalidation::enroll() {
    call([] { watch(); });
    next_ = first;
    first = this;
    enrolled_ = true;
}

std::uint64_t relation_changes() {
    Invalidation::watch();
    return changes;
}

// The look-up itself may deliver messages that clear relation_ again: then the generation has moved, which is what
// matters.
void Invalidation::resolve() {
    relation_ = core_relation(table_);
    if (!OidIsValid(relation_)) throw Error("55000", std::string("table \"usher.") + table_ + "\" does not exist");
}

std::uint64_t Invalidation::generation() {
    if (!enrolled_) enroll();
    // Once per statement of the client is enough, and a check per row should cost nothing. Statements inside functions
    // take messages in by themselves when they lock their tables.
    static constinit TimestampTz accepted_at = 0;
    if (const TimestampTz statement = GetCurrentStatementStartTimestamp(); statement != accepted_at) {
        call([] { AcceptInvalidationMessages(); });
        accepted_at = statement;
    }
    if (!OidIsValid(relation_)) resolve();
    return generation_;
}

} // namespace usher::pg

/// usher._invalidate_cache(): statement trigger; its argument names the `_inval` table.
USHER_FUNCTION(usher_cache_invalidate) {
    return usher::pg::call([&]() -> Datum {
        if (!CALLED_AS_TRIGGER(fcinfo))
            ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function must be called as a trigger"));
        const auto *const data = reinterpret_cast<TriggerData *>(fcinfo->context);
        if (!TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(data->tg_event) ||
            data->tg_trigger->tgnargs != 1)
            ereport(
                ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg(
                    "trigger \"%s\" must fire after each statement, with the name of the cache table as its argument",
                    data->tg_trigger->tgname));
        const Oid schema = get_func_namespace(fcinfo->flinfo->fn_oid);
        const Oid relation = get_relname_relid(data->tg_trigger->tgargs[0], schema);
        if (OidIsValid(relation)) CacheInvalidateRelcacheByRelid(relation);
        return PointerGetDatum(nullptr);
    });
}
