// Events that code reports: usher.log_event() and audit::log_event().
#include "common/json.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/audit/log_writer.hpp"
#include "usher/operations/survivors.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::audit {

namespace {
constexpr std::size_t max_name = 100; // bytes, as the table's constraints say

[[noreturn]] void refuse(const char *argument, const std::string &problem) {
    throw Error(errc::invalid_argument, std::string(argument) + " " + problem,
                R"({"argument":)" + json::quote(argument) + "}");
}

void check_name(const char *argument, std::string_view value) {
    if (value.empty()) refuse(argument, "must not be empty");
    if (value.size() > max_name) refuse(argument, "must not be longer than 100 bytes");
}

void check_length(const char *argument, std::string_view value, std::size_t longest) {
    if (value.size() > longest) refuse(argument, "must not be longer than " + std::to_string(longest) + " bytes");
}

void check_one_of(const char *argument, std::string_view value, std::initializer_list<std::string_view> known) {
    if (std::find(known.begin(), known.end(), value) != known.end()) return;
    std::string list;
    for (const std::string_view each : known) list += (list.empty() ? "" : ", ") + std::string(each);
    refuse(argument, "must be one of " + list);
}

/// The whole row that was written just now.
std::string read_back(const Uuid &id, TimestampTz created_at) {
    static constinit pg::Statement read{"SELECT pg_catalog.to_jsonb(a)::pg_catalog.text FROM usher.audit_logs a"
                                        " WHERE a.id OPERATOR(pg_catalog.=) $1"
                                        " AND a.created_at OPERATOR(pg_catalog.=) $2", // in one partition
                                        pg::Access::latest};
    const pg::AsOwner owner;
    return read.run({pg::uuid(id), pg::datum(TIMESTAMPTZOID, TimestampTzGetDatum(created_at))}).front().string(0);
}
std::string object_argument(const pg::Args &args, int index, const char *name) {
    std::string object = args.optional_output(index).value_or("{}");
    if (object.front() != '{') refuse(name, "must be a JSON object");
    return object;
}
} // namespace

Uuid log_event(const Event &event) {
    check_name("event_type", event.event_type);
    check_name("source", event.source);
    // both are in an index, whose entries have a limit
    check_length("resource_type", event.resource_type, 500);
    check_length("resource_id", event.resource_id, 1000);
    check_one_of("severity", event.severity, {"debug", "info", "notice", "warning", "error", "critical"});
    check_one_of("result", event.result, {"success", "failure", "denied"});

    const Actor actor = current_actor();
    const request::Context context = request::context();
    const Statement statement{&actor, &context, nullptr, {}, false, &event};
    const LogWriter::Written written = pg::call([&] {
        MemoryContext const scratch =
            AllocSetContextCreate(CurrentMemoryContext, "usher event", ALLOCSET_DEFAULT_SIZES);
        MemoryContext const caller = MemoryContextSwitchTo(scratch);
        const LogWriter::Written row = static_cast<LogWriter *>(palloc(sizeof(LogWriter)))->write_event(statement);
        MemoryContextSwitchTo(caller);
        MemoryContextDelete(scratch);
        return row;
    });
    Uuid id;
    std::copy_n(written.id.data, UUID_LEN, id.bytes.begin());
    if (event.survives_rollback) operations::survive_rollback("audit_logs", read_back(id, written.created_at));
    return id;
}

} // namespace usher::audit

/// usher.log_event()
USHER_FUNCTION(usher_audit_log_event) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::string data = audit::object_argument(args, 1, "data"),
                      metadata = audit::object_argument(args, 7, "metadata");
    audit::Event event;
    event.event_type = args.text(0);
    event.data = data;
    event.metadata = metadata;
    event.source = "application";
    event.severity = args.optional_text(2).value_or("info");
    event.result = args.optional_text(3).value_or("success");
    event.resource_type = args.optional_text(4).value_or("");
    event.resource_id = args.optional_text(5).value_or("");
    event.error_message = args.optional_text(6).value_or("");
    return pg::result(pg::uuid(audit::log_event(event)));
}
