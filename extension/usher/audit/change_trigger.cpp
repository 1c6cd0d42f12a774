// usher.audit_change(): one audit row per row that a statement changed. Statement level, with transition tables.
#include "common/json.hpp"
#include "pg/args.hpp"
#include "pg/foreign_call.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/trigger_call.hpp"
#include "usher/audit/audit.hpp"
#include "usher/audit/jsonb_builder.hpp"
#include "usher/audit/log_writer.hpp"
#include "usher/audit/row_encoder.hpp"
#include "usher/operations/restoring.hpp"
#include <forward_list>

namespace usher::audit {

namespace {
/// The lists of the trigger's argument: {"exclude": [...], "redact": [...], "personal": [...], "subject": ["column"],
/// "key": [...], "numbers": {"column": 3}, "relation": 16384}. Numbers are those of the table with that Oid, and of no
/// copy or restored one. Whatever it cannot read it passes over: auditing never makes a correct write fail.
class Lists {
public:
    Lists(const char *options, Oid relation) {
        json::Document document;
        if (!document.parse(options)) return;
        const std::optional<json::Value> owner = document.root().find("relation");
        has_numbers_ = owner && owner->as_int64() == static_cast<std::int64_t>(relation);
        read(document, "exclude", exclude_);
        read(document, "redact", redact_);
        read(document, "personal", personal_);
        read(document, "subject", subject_);
        has_key_ = read(document, "key", key_);
    }
    /// As long as this lives.
    [[nodiscard]] ColumnLists lists() {
        key_view_ = view(key_);
        return {view(exclude_), view(redact_), view(personal_), view(subject_), has_key_ ? &key_view_ : nullptr};
    }

private:
    bool read(const json::Document &document, std::string_view list, std::vector<NamedColumn> &into) {
        const std::optional<json::Value> names = document.root().find(list), numbers = document.root().find("numbers");
        if (!names || !names->is_array()) return false;
        for (const json::Member element : names->members()) {
            const std::string &name = names_.emplace_front(element.value.as_string());
            const std::optional<json::Value> number = has_numbers_ && numbers ? numbers->find(name) : std::nullopt;
            into.push_back({name.c_str(), static_cast<int>(number ? number->as_int64().value_or(0) : 0)});
        }
        return true;
    }
    static NameList view(const std::vector<NamedColumn> &list) { return {list.data(), static_cast<int>(list.size())}; }

    std::forward_list<std::string> names_; // what the lists point at
    std::vector<NamedColumn> exclude_, redact_, personal_, subject_, key_;
    NameList key_view_{};
    bool has_key_ = false, has_numbers_ = false;
};

/// The encoder of the relation, kept for the life of the backend until the table or the trigger changes.
const RowEncoder *find_encoder(Relation relation, const char *options) {
    static auto *const kept = new std::unordered_map<Oid, RowEncoder *>; // never destroyed
    const Oid oid = RelationGetRelid(relation);
    if (const auto found = kept->find(oid); found != kept->end()) {
        RowEncoder &encoder = *found->second;
        if (pg::call([&] { return still_fits(encoder, relation, options); })) return &encoder;
        MemoryContext const old = encoder.context;
        kept->erase(found);
        // not at once: a statement that it serves may be what fires this one
        pg::call([&] { MemoryContextSetParent(old, TopTransactionContext); });
    }
    Lists given(options, oid);
    const ColumnLists lists = given.lists();
    RowEncoder *const made = pg::call([&] { return make_encoder(relation, options, lists); });
    kept->emplace(oid, made);
    return made;
}

/// Reads a transition table from its beginning, beside other readers of the same.
class Transition {
public:
    Transition(Tuplestorestate *store, TupleDesc desc) : store_(store) {
        if (store == nullptr) return;
        pointer_ = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);
        tuplestore_select_read_pointer(store, pointer_);
        tuplestore_rescan(store);
        slot_ = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
    }
    TupleTableSlot *next() {
        tuplestore_select_read_pointer(store_, pointer_);
        if (!tuplestore_gettupleslot(store_, true, false, slot_)) return nullptr;
        slot_getallattrs(slot_);
        return slot_;
    }
    [[nodiscard]] int64 count() const { return tuplestore_tuple_count(store_); }
    void close() const {
        if (slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_);
        if (store_ != nullptr) tuplestore_select_read_pointer(store_, 0);
    }

private:
    Tuplestorestate *store_;
    int pointer_ = 0;
    TupleTableSlot *slot_ = nullptr;
};

/// Makes the rows of one statement. Plain frame.
struct Run {
    const RowEncoder &encoder;
    LogWriter &writer;
    StringInfoData buffer;
    bool *changed;

    void identify(LogRow &row, const TupleTableSlot *slot) {
        encode_key(encoder, &buffer, slot, &row.key, &row.resource_id);
    }

    static Datum copy(const pg_uuid_t *uuid) {
        if (uuid == nullptr) return 0;
        auto *const made = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
        *made = *uuid;
        return UUIDPGetDatum(made);
    }

    void whole(const TupleTableSlot *slot, bool is_new, bool is_gone = false) {
        MemoryContext const caller = MemoryContextSwitchTo(writer.batch());
        LogRow row;
        row.is_gone = is_gone;
        row.subject = copy(subject_of(encoder, slot));
        identify(row, slot);
        (is_new ? row.new_values : row.old_values) = encode_row(encoder, &buffer, slot, row.subject != 0);
        MemoryContextSwitchTo(caller);
        writer.add(row);
    }

    void difference(const TupleTableSlot *before, const TupleTableSlot *after) {
        if (!find_changes(encoder, before, after, changed)) return;
        MemoryContext const caller = MemoryContextSwitchTo(writer.batch());
        LogRow row;
        // A row that passes from one user to another is the new one's, and does not tell them about the old one.
        const pg_uuid_t *const from = subject_of(encoder, before), *const to = subject_of(encoder, after);
        const bool is_same = from != nullptr && (to == nullptr || std::memcmp(from->data, to->data, UUID_LEN) == 0);
        row.subject = copy(to != nullptr ? to : from);
        identify(row, before);
        row.old_values = encode_columns(encoder, &buffer, before, changed, is_same);
        row.new_values = encode_columns(encoder, &buffer, after, changed, to != nullptr);
        MemoryContextSwitchTo(caller);
        writer.add(row);
    }

    /// Do both rows have the same key?
    bool same_key(const TupleTableSlot *before, const TupleTableSlot *after) {
        find_changes(encoder, before, after, changed);
        for (int i = 0; i < encoder.key_count; ++i)
            if (changed[encoder.key_columns[i]]) return false;
        return true;
    }

    // Old and new rows stand in the same order. There are fewer new ones only when a row was to move into a partition
    // whose trigger swallowed it: such a row is gone.
    void pair(Transition &before, Transition &after) {
        int64 gone = before.count() - after.count();
        TupleTableSlot *new_row = after.next();
        while (TupleTableSlot *const old_row = before.next()) {
            CHECK_FOR_INTERRUPTS();
            if (new_row == nullptr || (gone > 0 && !same_key(old_row, new_row))) {
                --gone;
                whole(old_row, false, true);
                continue;
            }
            difference(old_row, new_row);
            new_row = after.next();
        }
    }
};

/// Settings that output functions read get one value, whatever the session says.
void fix_settings() {
    const auto set = [](const char *name, const char *value) {
        set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    };
    if (DateStyle != USE_ISO_DATES) set("datestyle", "ISO");
    if (IntervalStyle != INTSTYLE_POSTGRES) set("intervalstyle", "postgres");
    if (extra_float_digits < 1) set("extra_float_digits", "1");
    if (bytea_output != BYTEA_OUTPUT_HEX) set("bytea_output", "hex");
    set("timezone", "UTC");
}

/// A row as the trigger would write it: who asks for it may have other settings than who wrote it.
Datum form_of(Datum row) {
    const int level = NewGUCNestLevel();
    fix_settings();
    const Datum form = row_to_jsonb(row);
    AtEOXact_GUC(false, level);
    return form;
}

Action action_of(TriggerEvent event) {
    return TRIGGER_FIRED_BY_INSERT(event)   ? Action::insert_rows
           : TRIGGER_FIRED_BY_UPDATE(event) ? Action::update_rows
           : TRIGGER_FIRED_BY_DELETE(event) ? Action::delete_rows
                                            : Action::truncate_table;
}

void log_changes(const TriggerData *data, const RowEncoder &encoder, const Statement &statement) {
    auto *const writer = static_cast<LogWriter *>(palloc(sizeof(LogWriter)));
    const int level = encoder.reads_settings ? NewGUCNestLevel() : 0;
    if (level > 0) fix_settings();
    writer->open(statement);
    Run run{encoder, *writer, {}, static_cast<bool *>(palloc(sizeof(bool) * (encoder.count + 1)))};
    initStringInfo(&run.buffer);
    Transition before(data->tg_oldtable, encoder.desc), after(data->tg_newtable, encoder.desc);
    if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
        writer->add({});
    else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
        run.pair(before, after);
    else {
        const bool is_new = TRIGGER_FIRED_BY_INSERT(data->tg_event);
        Transition &rows = is_new ? after : before;
        while (const TupleTableSlot *const slot = rows.next()) {
            CHECK_FOR_INTERRUPTS();
            run.whole(slot, is_new);
        }
    }
    before.close();
    after.close();
    writer->close();
    if (level > 0) AtEOXact_GUC(false, level);
}

const TriggerData *check_call(FunctionCallInfo fcinfo) {
    return pg::require_trigger(
        fcinfo,
        [](const TriggerData &data) {
            const TriggerEvent event = data.tg_event;
            const bool has_tables =
                (!TRIGGER_FIRED_BY_INSERT(event) || data.tg_newtable != nullptr) &&
                (!TRIGGER_FIRED_BY_DELETE(event) || data.tg_oldtable != nullptr) &&
                (!TRIGGER_FIRED_BY_UPDATE(event) || (data.tg_oldtable != nullptr && data.tg_newtable != nullptr));
            return TRIGGER_FIRED_FOR_STATEMENT(event) && TRIGGER_FIRED_AFTER(event) && has_tables;
        },
        "AFTER a statement, with transition tables", "Set it up with usher.enable_audit().");
}

/// A statement that changed nothing leaves nothing to write.
bool is_empty(const TriggerData *data) {
    if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event)) return false;
    Tuplestorestate *const store = data->tg_newtable != nullptr ? data->tg_newtable : data->tg_oldtable;
    if (tuplestore_tuple_count(store) > 0) return false;
    return data->tg_oldtable == nullptr || tuplestore_tuple_count(data->tg_oldtable) == 0;
}
} // namespace

} // namespace usher::audit

USHER_FUNCTION(usher_audit_change) {
    using namespace usher;
    using namespace usher::audit;
    const TriggerData *const data = check_call(fcinfo);
    // rows of an extension's script come back with the script; rows of a dump have their audit rows in the dump
    if (creating_extension || operations::is_restoring() || is_empty(data)) return Datum{0};
    const char *const options = data->tg_trigger->tgnargs > 0 ? data->tg_trigger->tgargs[0] : "{}";
    const RowEncoder *const encoder = find_encoder(data->tg_relation, options);
    const Actor actor = current_actor();
    const request::Context context = request::context();
    const Statement statement{&actor, &context, encoder->resource_type, action_of(data->tg_event),
                              encoder->subject >= 0};
    pg::call([&] { log_changes(data, *encoder, statement); });
    return Datum{0};
}

/// usher._audit_form(relation, query, key)
USHER_FUNCTION(usher_audit_form) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const Oid relation = args.oid(0);
    const std::string query(args.text(1));
    bool is_null = true;
    const Datum form = pg::call([&] {
        return pg::row_as_owner(relation, query.c_str(), {fcinfo->args[2].value, fcinfo->args[2].isnull}, JSONBOID,
                                audit::form_of, &is_null);
    });
    return is_null ? pg::null_result(fcinfo) : form;
}
