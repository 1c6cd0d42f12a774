// Events that code reports: usher.log_event() and audit::log_event().
#include "audit/audit.hpp"
#include "core/json.hpp"
#include "operations/survivors.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "request/identity.hpp"

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

void check_one_of(const char *argument, std::string_view value, std::initializer_list<std::string_view> known) {
    if (std::find(known.begin(), known.end(), value) != known.end()) return;
    std::string list;
    for (const std::string_view each : known) list += (list.empty() ? "" : ", ") + std::string(each);
    refuse(argument, "must be one of " + list);
}

pg::Param text_or_null(std::string_view value) { return value.empty() ? pg::null(TEXTOID) : pg::text(value); }
} // namespace

Uuid log_event(const Event &event) {
    check_name("event_type", event.event_type);
    check_name("source", event.source);
    check_one_of("severity", event.severity, {"debug", "info", "notice", "warning", "error", "critical"});
    check_one_of("result", event.result, {"success", "failure", "denied"});

    const Actor actor = current_actor();
    const request::Context context = request::context();
    const std::string_view action = event.event_type.substr(event.event_type.rfind('.') + 1);
    static constinit pg::Statement insert{
        "INSERT INTO usher.audit_logs AS a (event_type, action, severity, source, result, actor_id, actor_name, "
        "session_id,"
        " client_ip, user_agent, correlation_id, resource_type, resource_id, event_data, error_message)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        " RETURNING a.id, CASE WHEN $16 THEN pg_catalog.to_jsonb(a)::pg_catalog.text END"};
    const pg::AsOwner owner;
    const pg::Rows rows = insert.run(
        {pg::text(event.event_type), pg::text(action.empty() ? event.event_type : action), pg::text(event.severity),
         pg::text(event.source), pg::text(event.result),
         pg::uuid_or_null(event.actor_id ? event.actor_id : actor.user_id),
         text_or_null(event.actor_id && event.actor_id != actor.user_id ? std::string_view() : actor.name),
         pg::uuid_or_null(actor.session_id), pg::inet_or_null(context.client_ip), text_or_null(context.user_agent),
         text_or_null(context.correlation_id), text_or_null(event.resource_type), text_or_null(event.resource_id),
         pg::jsonb(event.data), text_or_null(event.error_message), pg::boolean(event.survives_rollback)});
    if (event.survives_rollback) operations::survive_rollback("audit_logs", rows.front().text(1));
    return rows.front().uuid(0);
}

} // namespace usher::audit

/// usher.log_event()
USHER_FUNCTION(usher_audit_log_event) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::string data = args.is_null(1) ? "{}" : args.output(1);
    if (data.front() != '{')
        throw Error(errc::invalid_argument, "data must be a JSON object", R"({"argument":"data"})");
    audit::Event event;
    event.event_type = args.text(0);
    event.data = data;
    event.source = "application";
    event.severity = args.optional_text(2).value_or("info");
    event.result = args.optional_text(3).value_or("success");
    event.resource_type = args.optional_text(4).value_or("");
    event.resource_id = args.optional_text(5).value_or("");
    event.error_message = args.optional_text(6).value_or("");
    return pg::result(pg::uuid(audit::log_event(event)));
}
