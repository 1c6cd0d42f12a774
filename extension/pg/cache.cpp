#include "pg/cache.hpp"
#include "pg/moment.hpp"

namespace usher::pg {

namespace {
Invalidation *first = nullptr; // all that were ever asked, linked; never removed
EntryInvalidation *first_of_entries = nullptr;
std::uint64_t changes = 1;

// The server has messages for its own caches only, and lets a backend listen to those. So a changed entry is announced
// as if the sequence with the Oid `number` had changed: nothing but the catalog cache of pg_sequence looks at that, and
// what it drops it reads again.
constexpr SystemCache carrier = SEQRELID;

std::uint32_t number_of(const char *table, const pg_uuid_t &key) {
    const std::uint32_t seed =
        hash_bytes(reinterpret_cast<const unsigned char *>(table), static_cast<int>(strlen(table)));
    return hash_combine(seed, hash_bytes(key.data, UUID_LEN));
}
} // namespace

void Invalidation::forget_all() noexcept {
    ++generation_;
    ++epoch;
}

void Invalidation::on_relcache_change(Datum, Oid relation) noexcept {
    ++changes;
    for (Invalidation *each = first; each != nullptr; each = each->next_) {
        if (OidIsValid(relation) && OidIsValid(each->relation_) && relation != each->relation_) continue;
        each->forget_all();
        each->relation_ = InvalidOid; // it may have been dropped and made anew: look it up again
    }
}

void Invalidation::watch() {
    static constinit bool registered = false; // one slot of the server's few, shared by all caches
    if (registered) return;
    CacheRegisterRelcacheCallback([](Datum arg, Oid relation) { on_relcache_change(arg, relation); }, 0);
    // a renamed schema renames what is in it; a function may be replaced, or forbidden, that a table runs for its rows;
    // a domain may get another constraint, of which nothing is said about the tables that have it
    for (const SystemCache each : {NAMESPACEOID, PROCOID, TYPEOID})
        CacheRegisterSyscacheCallback(
            each, [](Datum, SystemCache, uint32) { ++changes; }, 0);
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

void EntryInvalidation::on_entry_change(std::uint32_t tag) noexcept {
    for (EntryInvalidation *each = first_of_entries; each != nullptr; each = each->next_) {
        ++epoch;
        if (tag != 0 && each->told_ < each->tags_.size()) {
            each->tags_[each->told_++] = tag;
            continue;
        }
        each->told_ = 0; // 0: messages were lost
        each->forget_all();
    }
}

void EntryInvalidation::watch_entries() {
    if (first_of_entries == nullptr)
        call([] {
            CacheRegisterSyscacheCallback(
                carrier, [](Datum, SystemCache, uint32 tag) { on_entry_change(tag); }, 0);
        });
    next_ = first_of_entries;
    first_of_entries = this;
    watching_ = true;
}

std::uint64_t EntryInvalidation::generation() {
    if (!watching_) watch_entries();
    return Invalidation::generation();
}

std::uint32_t EntryInvalidation::tag(const Uuid &key) const {
    return call([&] {
        pg_uuid_t id;
        std::memcpy(id.data, key.bytes.data(), UUID_LEN);
        return GetSysCacheHashValue1(carrier, ObjectIdGetDatum(number_of(name_, id)));
    });
}

void EntryInvalidation::announce(const char *table, const pg_uuid_t &key) {
    const Relation catalog = table_open(SequenceRelationId, AccessShareLock);
    std::array<Datum, Natts_pg_sequence> values{};
    std::array<bool, Natts_pg_sequence> nulls{};
    nulls.fill(true);
    values[Anum_pg_sequence_seqrelid - 1] = ObjectIdGetDatum(number_of(table, key));
    nulls[Anum_pg_sequence_seqrelid - 1] = false;
    HeapTuple const named = heap_form_tuple(RelationGetDescr(catalog), values.data(), nulls.data());
    CacheInvalidateHeapTuple(catalog, named, nullptr);
    heap_freetuple(named);
    table_close(catalog, AccessShareLock);
}

} // namespace usher::pg

namespace {
using usher::pg::EntryInvalidation;

void invalidate(FunctionCallInfo fcinfo, const char *table) {
    const Oid relation = get_relname_relid(table, get_func_namespace(fcinfo->flinfo->fn_oid));
    if (OidIsValid(relation)) CacheInvalidateRelcacheByRelid(relation);
}

/// A statement that changes more rows than this announces all of them at once.
constexpr int most_entries = 64;

/// How many rows of its statement the trigger has seen; counting ends above most_entries.
int count_row(FmgrInfo &function) { // which lives as long as the statement
    if (function.fn_extra == nullptr) function.fn_extra = MemoryContextAllocZero(function.fn_mcxt, sizeof(int));
    int &rows = *static_cast<int *>(function.fn_extra);
    if (rows <= most_entries) ++rows;
    return rows;
}

void announce_row(const TriggerData &data, HeapTuple row) {
    if (row == nullptr) return;
    const TupleDesc columns = RelationGetDescr(data.tg_relation);
    const int number = SPI_fnumber(columns, data.tg_trigger->tgargs[1]);
    if (number <= 0 || SPI_gettypeid(columns, number) != UUIDOID)
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("trigger \"%s\" names a column that is no uuid: \"%s\"", data.tg_trigger->tgname,
                       data.tg_trigger->tgargs[1]));
    bool is_null = false;
    const Datum key = SPI_getbinval(row, columns, number, &is_null);
    if (!is_null) EntryInvalidation::announce(data.tg_trigger->tgargs[0], *DatumGetUUIDP(key));
}
} // namespace

/// usher._invalidate_cache(): its argument names the `_inval` table. Of the rows of a statement one is enough.
USHER_FUNCTION(usher_cache_invalidate) {
    return usher::pg::call([&]() -> Datum {
        if (!CALLED_AS_TRIGGER(fcinfo))
            ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function must be called as a trigger"));
        const auto *const data = reinterpret_cast<TriggerData *>(fcinfo->context);
        if (!TRIGGER_FIRED_AFTER(data->tg_event) || data->tg_trigger->tgnargs != 1)
            ereport(
                ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("trigger \"%s\" must fire after the change, with the name of the cache table as its argument",
                       data->tg_trigger->tgname));
        if (TRIGGER_FIRED_FOR_STATEMENT(data->tg_event) || count_row(*fcinfo->flinfo) == 1)
            invalidate(fcinfo, data->tg_trigger->tgargs[0]);
        return Datum{0};
    });
}

/// usher._invalidate_entry(): row trigger; its arguments name the `_inval` table and the column with the entry's key.
USHER_FUNCTION(usher_cache_invalidate_entry) {
    return usher::pg::call([&]() -> Datum {
        if (!CALLED_AS_TRIGGER(fcinfo))
            ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function must be called as a trigger"));
        const auto *const data = reinterpret_cast<TriggerData *>(fcinfo->context);
        if (!TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
            data->tg_trigger->tgnargs != 2)
            ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("trigger \"%s\" must fire after each row, with the names of the cache table and of the "
                           "column with the key as its arguments",
                           data->tg_trigger->tgname));
        const int rows = count_row(*fcinfo->flinfo);
        if (rows <= most_entries) {
            announce_row(*data, data->tg_trigtuple);
            if (TRIGGER_FIRED_BY_UPDATE(data->tg_event)) announce_row(*data, data->tg_newtuple);
        } else if (rows == most_entries + 1)
            invalidate(fcinfo, data->tg_trigger->tgargs[0]);
        return Datum{0};
    });
}
