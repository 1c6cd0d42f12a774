// The two triggers of an attached table. BEFORE: is the change allowed, and which version does it make? AFTER: history,
// audit row and event. The check comes first so that an illegal change is told as such, and not as the constraint that
// it would break.
#include "common/json.hpp"
#include "pg/direct_insert.hpp"
#include "pg/partitions.hpp"
#include "pg/spi.hpp"
#include "pg/trigger_call.hpp"
#include "usher/audit/audit.hpp"
#include "usher/events/events.hpp"
#include "usher/machines/decide.hpp"
#include "usher/machines/machine_registry.hpp"
#include "usher/operations/restoring.hpp"

namespace usher::machines {

namespace {
struct Fired {
    TriggerData *data;
    Attachment *attachment;
    TupleDesc desc;
    HeapTuple before; // nullptr for an insert
    HeapTuple after;
};

/// Checks how the function was called, and reads the trigger's arguments once per statement.
Fired fired(FunctionCallInfo fcinfo, bool is_before) {
    const auto fits = [is_before](const TriggerData &each) {
        const TriggerEvent event = each.tg_event;
        return TRIGGER_FIRED_FOR_ROW(event) && (is_before ? TRIGGER_FIRED_BEFORE(event) : TRIGGER_FIRED_AFTER(event)) &&
               (TRIGGER_FIRED_BY_INSERT(event) || TRIGGER_FIRED_BY_UPDATE(event));
    };
    TriggerData *const data = pg::require_trigger(
        fcinfo, fits, is_before ? "BEFORE INSERT OR UPDATE for each row" : "AFTER INSERT OR UPDATE for each row");
    const TupleDesc desc = RelationGetDescr(data->tg_relation);
    if (fcinfo->flinfo->fn_extra == nullptr)
        fcinfo->flinfo->fn_extra = read_attachment(data->tg_trigger, desc, fcinfo->flinfo->fn_mcxt);
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    return {data, static_cast<Attachment *>(fcinfo->flinfo->fn_extra), desc, is_update ? data->tg_trigtuple : nullptr,
            is_update ? data->tg_newtuple : data->tg_trigtuple};
}

/// The machine for the length of a statement: a change of it is seen by the next one.
const std::shared_ptr<const machine::Machine> &machine_of(FunctionCallInfo fcinfo, Attachment &attachment) {
    using Held = std::shared_ptr<const machine::Machine>;
    if (attachment.held == nullptr) {
        auto *const callback = static_cast<MemoryContextCallback *>(
            pg::call([&] { return MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(MemoryContextCallback)); }));
        auto *const held = new Held(require_machine(attachment.machine));
        callback->func = [](void *kept) { delete static_cast<Held *>(kept); };
        callback->arg = held;
        MemoryContextRegisterResetCallback(fcinfo->flinfo->fn_mcxt, callback); // cannot fail
        attachment.held = held;
    }
    return *static_cast<const Held *>(attachment.held);
}

/// The status column, of which a table may have several: by its name, since partitions number their columns
/// differently.
std::string_view purpose_of(const Fired &now) { return now.data->tg_trigger->tgargs[1]; }

/// The key that tells the row apart from others that its statement moves.
std::string key_of(const Fired &now) { return column_text(now.after, now.desc, now.attachment->id).value_or(""); }

/// A row that an UPDATE moves into another partition has been through the machine where it was: here it only arrives.
bool arrives(const Fired &now) {
    if (now.before != nullptr || !now.data->tg_relation->rd_rel->relispartition) return false;
    return pg::is_moved_here(now.data, purpose_of(now), key_of(now));
}

/// The change that the trigger was fired for: of a row that has been moved, the update that moved it.
Fired whole_change(Fired now) {
    if (now.before != nullptr || !now.data->tg_relation->rd_rel->relispartition) return now;
    if (const std::optional<pg::MovedRow> moved = pg::find_moved_row(now.data, purpose_of(now), key_of(now)))
        now.before = pg::call([&] { return pg::read_moved_row(*moved, now.desc); });
    return now;
}

/// Do both rows have the same status? Bytes are compared where that is enough. Plain frame.
bool same_status(const Fired &now) {
    bool old_null = false, new_null = false;
    const AttrNumber column = now.attachment->status;
    const Datum before = heap_getattr(now.before, column, now.desc, &old_null);
    const Datum after = heap_getattr(now.after, column, now.desc, &new_null);
    if (old_null || new_null) return old_null == new_null;
    const Form_pg_attribute attribute = TupleDescAttr(now.desc, column - 1);
    return datum_image_eq(before, after, attribute->attbyval, attribute->attlen);
}

/// A change on its way through the machine, with the texts that checks and errors need.
class Passage {
public:
    Passage(const Fired &now, std::shared_ptr<const machine::Machine> machine)
        : now_(now),
          machine_(std::move(machine)),
          change_{now.attachment, now.desc, now.before, now.after},
          to_(column_text(now.after, now.desc, now.attachment->status)) {
        if (now.before != nullptr) from_ = column_text(now.before, now.desc, now.attachment->status);
    }

    /// The transition that the change is; nullptr for the creation of a row that the definition says nothing about, and
    /// for a change that is none of the machine's business. Throws when there is no such transition.
    const machine::Transition *find(bool asking) const {
        if (now_.before == nullptr) return find_creation(asking);
        const machine::Status from = status_of(from_), to = status_of(to_);
        if (from_ == to_) return from == machine::nowhere ? nullptr : find_kept(from, asking);
        if (from == machine::nowhere || to == machine::nowhere) refuse_transition();
        const std::span<const machine::Transition> found = machine_->between(from, to);
        if (found.empty()) refuse_transition();
        return choose(found, asking);
    }

    /// US003 when the caller passed a version that is not the row's.
    void check_version(std::int32_t current, std::int32_t passed) const {
        if (passed == current || passed == current + 1) return;
        machine::Refusal refusal = describe("version", "");
        const std::string what =
            "version " + std::to_string(passed) + " was passed, the row has " + std::to_string(current);
        refusal.what = what;
        throw Error(errc::stale_version, "row of relation " + json::quote(relation_) + " was changed by somebody else",
                    machine::detail(refusal), "Read the row again and repeat the change.");
    }

    const std::optional<std::string> &from() const { return from_; }
    const std::optional<std::string> &to() const { return to_; }

private:
    /// `nowhere` for NULL and for what is no status of the machine.
    machine::Status status_of(const std::optional<std::string> &name) const {
        return name ? machine_->find(*name).value_or(machine::nowhere) : machine::nowhere;
    }

    const machine::Transition *find_creation(bool asking) const {
        const std::optional<machine::Status> to = to_ ? machine_->find(*to_) : std::nullopt;
        if (!to || !machine_->is_initial(*to)) refuse_transition();
        const std::span<const machine::Transition> found = machine_->between(machine::nowhere, *to);
        return found.empty() ? nullptr : choose(found, asking);
    }

    /// The status stays: allowed unless a column changes that the machine watches, and the status has no transition for
    /// it.
    const machine::Transition *find_kept(machine::Status status, bool asking) const {
        bool is_watched = false;
        std::vector<const machine::Transition *> found;
        for (const machine::Transition &each : machine_->transitions()) {
            if (each.columns.empty() || !changes_columns(each, change_)) continue;
            is_watched = true;
            if (each.from == status) found.push_back(&each);
        }
        if (!is_watched) return nullptr;
        if (found.empty()) refuse_transition();
        return choose(found, asking);
    }

    const machine::Transition *choose(std::span<const machine::Transition> found, bool asking) const {
        if (found.size() == 1) { // as nearly always: no list of candidates
            if (asking)
                if (const Refused refused = conditions(found.front(), change_)) refuse(found.front(), refused);
            return &found.front();
        }
        std::vector<const machine::Transition *> candidates;
        for (const machine::Transition &each : found) candidates.push_back(&each);
        return choose(candidates, asking);
    }

    /// The first whose conditions hold. The trigger that records need not ask again when there is only one.
    const machine::Transition *choose(const std::vector<const machine::Transition *> &candidates, bool asking) const {
        if (!asking && candidates.size() == 1) return candidates.front();
        Refused first;
        for (const machine::Transition *each : candidates) {
            Refused refused = conditions(*each, change_);
            if (!refused) return each;
            if (!first) first = std::move(refused);
        }
        refuse(*candidates.front(), first);
    }

    [[noreturn]] void refuse(const machine::Transition &transition, const Refused &refused) const {
        // Who forgot to say why may do it: what is wrong is what they sent.
        throw Error(refused.rule == "reason" ? errc::invalid_argument : errc::not_allowed,
                    "transition " + json::quote(transition.action) + " is not allowed: " + refused.what,
                    machine::detail(describe(refused.rule, refused.what)));
    }

    [[noreturn]] void refuse_transition() const {
        const std::string machine = now_.attachment->machine;
        std::string message;
        if (!to_)
            message = "status must not be null";
        else if (!machine_->find(*to_))
            message = "machine " + json::quote(machine) + " has no status " + json::quote(*to_);
        else if (now_.before == nullptr)
            message = "machine " + json::quote(machine) + " does not begin with status " + json::quote(*to_);
        else if (from_ == to_)
            message = "row cannot be changed so in status " + json::quote(*to_);
        else
            message = "status cannot change from " + json::quote(from_.value_or("NULL")) + " to " + json::quote(*to_);
        throw Error(errc::illegal_transition, message, machine::detail(describe("transition", "")));
    }

    machine::Refusal describe(std::string_view rule, std::string_view what) const {
        relation_ = relation_name(RelationGetRelid(now_.data->tg_relation));
        id_ = column_text(now_.after, now_.desc, now_.attachment->id).value_or("");
        machine::Refusal refusal{relation_, id_, {}, {}, {}, rule, what};
        if (from_) refusal.from = *from_;
        if (to_) refusal.to = *to_;
        const std::optional<machine::Status> from = from_ ? machine_->find(*from_) : std::nullopt;
        if (from || now_.before == nullptr) refusal.allowed = machine_->targets(from.value_or(machine::nowhere));
        return refusal;
    }

    const Fired &now_;
    std::shared_ptr<const machine::Machine> machine_;
    Change change_;
    std::optional<std::string> from_, to_;
    mutable std::string relation_, id_; // what describe() points at
};

/// The row with its version counted up; the row itself when the table has no version column.
HeapTuple count_version(const Fired &now, const std::shared_ptr<const machine::Machine> &machine) {
    const AttrNumber column = now.attachment->version;
    if (column == 0) return now.after;
    bool old_null = true, new_null = false;
    const auto read = [&](HeapTuple tuple, bool &is_null) {
        return DatumGetInt32(pg::call([&] { return heap_getattr(tuple, column, now.desc, &is_null); }));
    };
    const std::int32_t passed = read(now.after, new_null);
    std::int32_t next = 1;
    if (now.before != nullptr) {
        const std::int32_t current = read(now.before, old_null);
        if (!old_null) {
            if (!new_null) Passage(now, machine).check_version(current, passed);
            next = current + 1;
        }
    } else if (!new_null)
        return now.after; // a caller may begin with the version of its choice
    return pg::call([&] {
        int number = column;
        Datum value = Int32GetDatum(next);
        bool is_null = false;
        return heap_modify_tuple_by_cols(now.after, now.desc, 1, &number, &value, &is_null);
    });
}

/// Text of a reason or note, when this change wrote it: what an earlier transition left in the column is not its
/// reason.
std::optional<std::string> written_text(const Fired &now, AttrNumber column, bool always) {
    if (column == 0) return std::nullopt;
    std::optional<std::string> after = column_text(now.after, now.desc, column);
    if (always || now.before == nullptr || after != column_text(now.before, now.desc, column)) return after;
    return std::nullopt;
}

/// A time as JSON has it, whatever DateStyle and TimeZone whoever changes the row has set; nothing for other types.
std::optional<std::string> time_text(const Fired &now, AttrNumber column, Oid type) {
    if (type != DATEOID && type != TIMEOID && type != TIMETZOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
        return std::nullopt;
    return std::string(pg::call([&] {
        bool is_null = false; // it is not: the caller has its text
        const int utc = 0;
        return static_cast<const char *>(JsonEncodeDateTime(nullptr,
                                                            heap_getattr(now.after, column, now.desc, &is_null), type,
                                                            type == TIMESTAMPTZOID ? &utc : nullptr));
    }));
}

std::string payload_json(const Fired &now) {
    const Attachment &attachment = *now.attachment;
    if (attachment.payload_count == 0) return {};
    std::string out;
    for (int i = 0; i < attachment.payload_count; ++i) {
        const AttrNumber column = attachment.payload[i];
        const std::optional<std::string> value = column_text(now.after, now.desc, column);
        json::append_string(out += ",", NameStr(TupleDescAttr(now.desc, column - 1)->attname));
        out += ":";
        if (!value)
            out += "null";
        else if (const Oid type = pg::call([&] { return getBaseType(TupleDescAttr(now.desc, column - 1)->atttypid); });
                 type == INT2OID || type == INT4OID || type == INT8OID || type == JSONBOID)
            out += *value; // is JSON already
        else if (type == BOOLOID)
            out += *value == "t" ? "true" : "false";
        else
            json::append_string(out, time_text(now, column, type).value_or(*value));
    }
    return out;
}

bool is_audited(const Fired &now) {
    const Oid function = core_function("audit_change");
    const TriggerDesc *const triggers = now.data->tg_relation->trigdesc;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
        if (triggers->triggers[i].tgfoid == function) return true;
    return false;
}

/// Appends a row to the history of a row of some table; `partition` is where it lies. `what`: from_status, to_status,
/// action, changed_by, changed_by_name, reason_code, notes, version.
void write_history(const pg::Param &relation, const pg::Param &partition, const Entity &entity, bool is_new,
                   const std::array<pg::Param, 8> &what) {
    static constexpr std::array columns{pg::ColumnForm{"id", UUIDOID, true},
                                        pg::ColumnForm{"relation", REGCLASSOID, true},
                                        pg::ColumnForm{"entity_id", UUIDOID, true},
                                        pg::ColumnForm{"seq", INT4OID, true},
                                        pg::ColumnForm{"from_status", TEXTOID},
                                        pg::ColumnForm{"to_status", TEXTOID, true},
                                        pg::ColumnForm{"action", TEXTOID, true},
                                        pg::ColumnForm{"changed_by", UUIDOID},
                                        pg::ColumnForm{"changed_by_name", TEXTOID, true},
                                        pg::ColumnForm{"reason_code", TEXTOID},
                                        pg::ColumnForm{"notes", TEXTOID},
                                        pg::ColumnForm{"changed_at", TIMESTAMPTZOID, true},
                                        pg::ColumnForm{"version", INT4OID},
                                        pg::ColumnForm{"entity_key", TEXTOID}};
    static constexpr std::array checks{"seq > 0"};
    static constexpr pg::TableForm form{.columns = columns, .checks = checks};
    // The row itself is locked by the change, so nobody else counts the same seq.
    static constinit pg::Statement find_last{R"(
        SELECT h.seq
        FROM usher.status_history h
        WHERE h.relation OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND h.entity_id OPERATOR(pg_catalog.=) $2
        ORDER BY h.seq DESC LIMIT 1)"};
    static constinit pg::Statement insert{R"(
        INSERT INTO usher.status_history (relation, entity_id, seq, from_status, to_status, action, changed_by,
                                          changed_by_name, reason_code, notes, version, entity_key)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12))"};
    const pg::AsOwner owner;
    const Uuid id = pg::new_uuid();
    const pg::Param entity_id = pg::uuid(entity.id),
                    entity_key = entity.is_uuid ? pg::null(TEXTOID) : pg::text(entity.key);
    const auto row = [&](std::int32_t seq) {
        return std::array{pg::uuid(id), relation,  entity_id, pg::int4(seq), what[0], what[1],
                          what[2],      what[3],   what[4],   what[5],       what[6], pg::timestamptz(pg::clock_time()),
                          what[7],      entity_key};
    };
    const Oid table = pg::core_relation("status_history");
    // then nothing stands in the way of 1, unless an earlier row had the same id
    if (is_new && pg::insert_directly(table, form, row(1), pg::Conflicts::skip) == 1) return;
    pg::Rows last = find_last.run({relation, entity_id});
    // of a table that was attached with rows in it, the history stands under its own name until then
    if (last.empty()) last = find_last.run({partition, entity_id});
    const std::int32_t seq = last.empty() ? 1 : last.front().int4(0) + 1;
    if (!pg::insert_directly(table, form, row(seq)))
        insert.run({relation, entity_id, pg::int4(seq), what[0], what[1], what[2], what[3], what[4], what[5], what[6],
                    what[7], entity_key});
}

void record(const Fired &now, const Passage &passage, const machine::Transition *transition) {
    const Attachment &attachment = *now.attachment;
    const std::string action = transition != nullptr ? transition->action : "create";
    const bool requires_reason = transition != nullptr && transition->requires_reason;
    // partitions stand for their table: whoever asks for a row does not know in which of them it is
    const Oid relation = pg::call([&] { return pg::partition_root(now.data->tg_relation); });
    const std::optional<Entity> entity = entity_of(now.after, now.desc, attachment.id);
    if (!entity) throw Error("23502", "key of a row with a status must not be null");
    const std::optional<std::string> reason = written_text(now, attachment.reason, requires_reason);
    const std::optional<std::string> notes = written_text(now, attachment.notes, false);
    const std::optional<std::string> version =
        attachment.version == 0 ? std::nullopt : column_text(now.after, now.desc, attachment.version);
    const audit::Actor actor = audit::current_actor();
    const auto optional_text = [](const std::optional<std::string> &text) { return pg::text_or_null(text); };

    if (attachment.history)
        write_history(pg::regclass(relation), pg::regclass(RelationGetRelid(now.data->tg_relation)), *entity,
                      now.before == nullptr,
                      {optional_text(passage.from()), optional_text(passage.to()), pg::text(action),
                       pg::uuid_or_null(actor.user_id), pg::text(actor.name), optional_text(reason),
                       optional_text(notes), version ? pg::int4(std::stoi(*version)) : pg::null(INT4OID)});

    const std::string name = relation_name(relation), entity_name = entity->name();
    std::string data = R"({"relation":)" + json::quote(name) + R"(,"id":)" + json::quote(entity->key) + R"(,"from":)" +
                       (passage.from() ? json::quote(*passage.from()) : "null") + R"(,"to":)" +
                       json::quote(*passage.to()) + R"(,"action":)" + json::quote(action) + R"(,"reason_code":)" +
                       (reason ? json::quote(*reason) : "null") + R"(,"version":)" + version.value_or("null") +
                       R"(,"actor_id":)" + (actor.user_id ? json::quote(to_string(*actor.user_id)) : "null");
    if (attachment.audit && !is_audited(now)) {
        const std::string whole = data + "}";
        const std::string event_type =
            "status." + (transition == nullptr || transition->event.empty() ? "changed" : transition->event);
        audit::Event event;
        event.event_type = event_type;
        event.data = whole;
        event.source = "machine";
        event.resource_type = name;
        event.resource_id = entity_name;
        audit::log_event(event);
    }
    if (attachment.event_prefix != nullptr && transition != nullptr && !transition->event.empty()) {
        const std::string event = std::string(attachment.event_prefix) + "." + transition->event;
        // for the owner of the table, who attached the machine, and not for whoever changes a row
        events::publish(event, data + payload_json(now) + "}", entity_name, now.data->tg_relation->rd_rel->relowner);
    }
}
} // namespace

} // namespace usher::machines

/// usher.check_transition(): BEFORE INSERT OR UPDATE, for each row.
USHER_FUNCTION(usher_machines_check_transition) {
    using namespace usher;
    using namespace usher::machines;
    const Fired now = fired(fcinfo, true);
    if (operations::is_restoring() || arrives(now)) return PointerGetDatum(now.after);
    if (now.before != nullptr) pg::note_update(now.data, purpose_of(now));
    const std::shared_ptr<const machine::Machine> &machine = machine_of(fcinfo, *now.attachment);
    // A stale version first: whoever looks at an old row does not know the status that the change would leave.
    HeapTuple const counted = count_version(now, machine);
    const bool stays = now.before != nullptr && pg::call([&] { return same_status(now); });
    if (!stays || machine->watches_columns()) Passage(now, machine).find(true);
    return PointerGetDatum(counted);
}

/// usher.record_transition(): AFTER INSERT OR UPDATE, for each row.
USHER_FUNCTION(usher_machines_record_transition) {
    using namespace usher;
    using namespace usher::machines;
    const Fired fired_for = fired(fcinfo, false);
    if (operations::is_restoring()) return Datum{0};
    const Fired now = whole_change(fired_for);
    const bool stays = now.before != nullptr && pg::call([&] { return same_status(now); });
    const std::shared_ptr<const machine::Machine> &machine = machine_of(fcinfo, *now.attachment);
    if (stays && !machine->watches_columns()) return Datum{0};
    const Passage passage(now, machine);
    const machine::Transition *const transition = passage.find(false);
    if (stays && transition == nullptr) return Datum{0};
    record(now, passage, transition);
    return Datum{0};
}
