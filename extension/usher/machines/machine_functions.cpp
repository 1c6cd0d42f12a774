// Defining machines and reading what they say about rows.
#include "common/json.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/events/subscriptions.hpp"
#include "usher/machines/decide.hpp"
#include "usher/machines/machine_registry.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::machines {

namespace {
bool is_machine_name(std::string_view name) {
    return !name.empty() && name.size() <= 63 && name[0] >= 'a' && name[0] <= 'z' &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

/// Whoever defines a machine lets everybody's changes run its guards as their owner, and so must be allowed to run
/// them too.
void check_guard(const std::string &signature) {
    const Guard guard = find_guard(signature);
    const bool allowed = pg::call([&] { return pg::may_execute(guard.function, GetOuterUserId()); });
    if (!allowed)
        throw Error("42501", "permission denied for guard " + json::quote(signature),
                    R"({"guard":)" + json::quote(signature) + "}");
}

/// Reads the row with the rights of the caller; nullptr when there is none, or none for the caller.
HeapTuple read_row(Oid relation, AttrNumber id_column, TupleDesc desc, const std::string &key) {
    // No uuid and no integer is so long: their types would repeat all of it in a message.
    const Oid key_type = pg::call([&] { return getBaseType(TupleDescAttr(desc, id_column - 1)->atttypid); });
    if (key.size() > 255 && key_type != TEXTOID && key_type != VARCHAROID)
        throw Error(errc::invalid_argument, "id is longer than any of this table", R"({"argument":"id"})");
    return pg::call([&]() -> HeapTuple {
        const MemoryContext target = CurrentMemoryContext;
        const Form_pg_attribute attribute = TupleDescAttr(desc, id_column - 1);
        const char *const table =
            quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
        const char *const column = quote_identifier(NameStr(attribute->attname));
        // (t.*) and not t: a column of that name would be meant
        const char *const sql =
            psprintf("SELECT (t.*)::%s FROM %s t WHERE t.%s OPERATOR(pg_catalog.=) $1", table, table, column);
        Oid type = getBaseType(attribute->atttypid), input = InvalidOid, parameter = InvalidOid;
        getTypeInputInfo(type, &input, &parameter);
        Datum value = OidInputFunctionCall(input, const_cast<char *>(key.c_str()), parameter, -1);
        SPI_connect();
        if (SPI_execute_with_args(sql, 1, &type, &value, nullptr, true, 1) != SPI_OK_SELECT)
            elog(ERROR, "could not read a row");
        HeapTuple found = nullptr;
        if (SPI_processed == 1) {
            bool is_null = false;
            if (SPI_gettypeid(SPI_tuptable->tupdesc, 1) != get_rel_type_id(relation))
                elog(ERROR, "a row has not the type of its table");
            const Datum row = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
            if (is_null) elog(ERROR, "a row is null");
            HeapTupleHeader const header = DatumGetHeapTupleHeader(row);
            HeapTupleData wrapped;
            wrapped.t_len = HeapTupleHeaderGetDatumLength(header);
            ItemPointerSetInvalid(&wrapped.t_self);
            wrapped.t_tableOid = InvalidOid;
            wrapped.t_data = header;
            const MemoryContext inside = MemoryContextSwitchTo(target);
            found = heap_copytuple(&wrapped);
            MemoryContextSwitchTo(inside);
        }
        SPI_finish();
        return found;
    });
}

[[noreturn]] void refuse_unknown_row(Oid relation, const std::string &key) {
    throw Error(errc::unknown_reference, "row does not exist",
                R"({"relation":)" + json::quote(relation_name(relation)) + R"(,"id":)" + json::quote(key) + "}");
}

/// An open table, closed at the end of the scope; after an ERROR the transaction closes it.
class OpenTable {
public:
    explicit OpenTable(Oid relation)
        : relation_(pg::call([&] {
              const Relation opened = try_relation_open(relation, AccessShareLock);
              if (opened == nullptr)
                  ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation does not exist"));
              return opened;
          })) {}
    ~OpenTable() { relation_close(relation_, NoLock); }
    OpenTable(const OpenTable &) = delete;
    OpenTable &operator=(const OpenTable &) = delete;
    [[nodiscard]] TupleDesc desc() const { return RelationGetDescr(relation_); }
    [[nodiscard]] Oid owner() const { return relation_->rd_rel->relowner; }
    /// The machines of the table: one per attached status column.
    [[nodiscard]] std::vector<Attachment *> attachments() const {
        const Oid function = core_function("check_transition");
        std::vector<Attachment *> found;
        const TriggerDesc *const triggers = relation_->trigdesc;
        for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
            if (triggers->triggers[i].tgfoid == function)
                found.push_back(read_attachment(&triggers->triggers[i], desc(), CurrentMemoryContext));
        return found;
    }
    [[nodiscard]] std::vector<Attachment *> require_attachments() const {
        std::vector<Attachment *> found = attachments();
        if (found.empty()) {
            const std::string name = relation_name(RelationGetRelid(relation_));
            throw Error(errc::invalid_argument, "relation " + json::quote(name) + " has no machine",
                        R"({"relation":)" + json::quote(name) + "}", "Attach one with usher.attach_machine().");
        }
        return found;
    }

private:
    Relation relation_;
};

/// The row with another status.
HeapTuple with_status(HeapTuple row, TupleDesc desc, AttrNumber column, const std::string &status) {
    return pg::call([&] {
        const Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);
        Oid input = InvalidOid, parameter = InvalidOid;
        getTypeInputInfo(attribute->atttypid, &input, &parameter);
        Datum value = OidInputFunctionCall(input, const_cast<char *>(status.c_str()), parameter, attribute->atttypmod);
        int number = column;
        bool is_null = false;
        return heap_modify_tuple_by_cols(row, desc, 1, &number, &value, &is_null);
    });
}
} // namespace

} // namespace usher::machines

/// usher.define_machine()
USHER_FUNCTION(usher_machines_define) {
    using namespace usher;
    using namespace usher::machines;
    const pg::Args args(fcinfo);
    const std::string_view name = args.text(0);
    const std::string definition = args.output(1);
    access::require("machine:manage");
    request::require_whole(); // its transitions say which permissions they need
    if (!is_machine_name(name))
        throw Error(
            errc::invalid_argument,
            "name of a machine must consist of 1 to 63 lower-case letters, digits and underscores, the first a letter",
            R"({"argument":"name"})");
    const machine::Machine parsed = machine::Machine::parse(definition);
    for (const machine::Transition &each : parsed.transitions())
        if (!each.guard.empty()) check_guard(each.guard);

    static constinit pg::Statement lock{"LOCK TABLE usher.machines IN SHARE ROW EXCLUSIVE MODE"};
    static constinit pg::Statement last{R"(
        SELECT version, definition OPERATOR(pg_catalog.=) $2 AND is_active,
            -- what an update ships does not take the place of what somebody has decided
            usher._installing_extension() IS NULL OR (is_active AND extension IS NOT NULL
                AND NOT EXISTS (SELECT FROM usher.decisions d
                    WHERE d.table_name OPERATOR(pg_catalog.=) 'usher.machines'
                      AND d.key OPERATOR(pg_catalog.->>) 'name' OPERATOR(pg_catalog.=) $1))
        FROM usher.machines
        WHERE name OPERATOR(pg_catalog.=) $1 ORDER BY version DESC LIMIT 1)"};
    static constinit pg::Statement insert{R"(
        INSERT INTO usher.machines (name, version, definition, created_by, is_active) VALUES ($1, $2, $3, $4, $5))"};
    lock.run();
    const pg::Rows found = last.run({pg::text(name), pg::jsonb(definition)});
    if (!found.empty() && found.front().boolean(1)) return pg::result(pg::int4(found.front().int4(0)));
    const std::int32_t version = found.empty() ? 1 : found.front().int4(0) + 1;
    const request::Identity *const identity = request::current();
    insert.run({pg::text(name), pg::int4(version), pg::jsonb(definition),
                pg::uuid_or_null(identity != nullptr ? &identity->user_id : nullptr),
                pg::boolean(found.empty() || found.front().boolean(2))});
    return pg::result(pg::int4(version));
}

/// usher.validate_machine()
USHER_FUNCTION(usher_machines_validate) {
    using namespace usher;
    using namespace usher::machines;
    const pg::Args args(fcinfo);
    const std::shared_ptr<const machine::Machine> machine = require_machine(args.text(0));
    pg::RowSet rows(fcinfo);
    for (const machine::Finding &each : machine->validate())
        rows.add({pg::text(each.rule), pg::text_unless_empty(each.status), pg::text(each.message)});
    for (const machine::Transition &each : machine->transitions()) {
        if (each.guard.empty()) continue;
        try {
            find_guard(each.guard);
        } catch (const Error &error) {
            rows.add({pg::text("missing_guard"),
                      each.from == machine::nowhere ? pg::null(TEXTOID) : pg::text(machine->name(each.from)),
                      pg::text(error.what())});
        }
    }
    return rows.finish();
}

/// usher.machine_diagram()
USHER_FUNCTION(usher_machines_diagram) {
    using namespace usher;
    const std::string diagram = machines::require_machine(pg::Args(fcinfo).text(0))->diagram();
    return pg::result(pg::text(diagram));
}

/// usher.machine_statuses()
USHER_FUNCTION(usher_machines_statuses) {
    using namespace usher;
    const std::shared_ptr<const machine::Machine> machine = machines::require_machine(pg::Args(fcinfo).text(0));
    return pg::result(pg::text_array(machine->statuses()));
}

/// usher._check_attachment()
USHER_FUNCTION(usher_machines_check_attachment) {
    using namespace usher;
    using namespace usher::machines;
    const pg::Args args(fcinfo);
    const std::shared_ptr<const machine::Machine> machine = require_machine(args.text(0));
    const OpenTable table(args.oid(1));
    const std::string column = args.output(2), options = args.output(3);
    const Attachment *const made = read_attachment(std::string(args.text(0)).c_str(), column.c_str(), options.c_str(),
                                                   table.desc(), CurrentMemoryContext);
    for (const machine::Transition &each : machine->transitions()) {
        if (each.requires_reason && made->reason == 0)
            throw Error(errc::invalid_argument,
                        "transition " + json::quote(each.action) +
                            " requires a reason: option reason_column must name its column",
                        R"({"option":"reason_column"})");
        for (const std::string &name : each.columns)
            if (pg::call([&] { return SPI_fnumber(table.desc(), name.c_str()); }) <= 0)
                throw Error(errc::invalid_argument,
                            "transition " + json::quote(each.action) + " names column " + json::quote(name) +
                                ", which does not exist",
                            R"({"column":)" + json::quote(name) + "}");
        // else the first change of status would tell
        if (made->event_prefix != nullptr && !each.event.empty())
            (void)events::publisher(std::string(made->event_prefix) + "." + each.event, table.owner());
    }
    return pg::null_result(fcinfo);
}

/// usher.allowed_transitions()
USHER_FUNCTION(usher_machines_allowed_transitions) {
    using namespace usher;
    using namespace usher::machines;
    const pg::Args args(fcinfo);
    const Oid relation = args.oid(0);
    const std::string key = args.output(1);
    pg::RowSet rows(fcinfo);
    const OpenTable table(relation);
    for (const Attachment *const each : table.require_attachments()) {
        const HeapTuple row = read_row(relation, each->id, table.desc(), key);
        if (row == nullptr) refuse_unknown_row(relation, key);
        const std::shared_ptr<const machine::Machine> machine = require_machine(each->machine);
        const std::optional<std::string> status = column_text(row, table.desc(), each->status);
        const std::optional<machine::Status> from = status ? machine->find(*status) : std::nullopt;
        if (!from) continue;
        for (const machine::Transition &transition : machine->transitions()) {
            if (transition.from != *from) continue;
            const std::string &to = machine->name(transition.to);
            const Change change{each, table.desc(), row, with_status(row, table.desc(), each->status, to)};
            const Refused refused = conditions(transition, change, false);
            rows.add({pg::text(to), pg::text(transition.action), pg::boolean(!refused),
                      refused ? pg::text(refused.what) : pg::null(TEXTOID)});
        }
    }
    return rows.finish();
}

/// usher.history()
USHER_FUNCTION(usher_machines_history) {
    using namespace usher;
    using namespace usher::machines;
    const pg::Args args(fcinfo);
    const Oid relation = args.oid(0);
    const std::string key = args.output(1);
    const std::int32_t after = args.is_null(2) ? 0 : args.int4(2), max_rows = args.is_null(3) ? 0 : args.int4(3);
    if (max_rows < 1 || max_rows > 1000)
        throw Error(errc::invalid_argument, "max_rows must be between 1 and 1000", R"({"argument":"max_rows"})");
    const Uuid id = [&] {
        const OpenTable table(relation);
        const AttrNumber id_column = table.require_attachments().front()->id;
        const HeapTuple row = read_row(relation, id_column, table.desc(), key);
        if (row == nullptr) refuse_unknown_row(relation, key);
        return entity_of(row, table.desc(), id_column).value().id; // the key as it is stored
    }();
    static constinit pg::Statement find{R"(
        WITH page AS (SELECT * FROM usher.status_history h
                      WHERE h.relation OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT t.member::pg_catalog.oid
                                                                         FROM usher._table_tree($1) t))
                        AND h.entity_id OPERATOR(pg_catalog.=) $2 AND h.seq OPERATOR(pg_catalog.>) $3
                      ORDER BY h.seq LIMIT $4)
        SELECT p.seq, p.from_status, p.to_status, p.action,
               ROW(p.changed_by, u.email, u.role, p.changed_by_name)::usher.user_reference, p.reason_code, p.notes,
               p.changed_at, p.version
        FROM page p LEFT JOIN usher.references_of(ARRAY(SELECT DISTINCT changed_by FROM page)) u
            ON u.id OPERATOR(pg_catalog.=) p.changed_by ORDER BY p.seq)"};
    pg::RowSet rows(fcinfo);
    const pg::AsOwner owner;
    const pg::Rows found = find.run({pg::regclass(relation), pg::uuid(id), pg::int4(after), pg::int8(max_rows)});
    for (std::size_t i = 0; i < found.size(); ++i) {
        const pg::Row row = found[i];
        std::array<pg::Param, 9> columns;
        for (int c = 0; c < static_cast<int>(columns.size()); ++c) columns[c] = row.param(c);
        rows.add(columns);
    }
    return rows.finish();
}
