// usher.log_read() and log_reads(): who has read personal data.
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/audit/audit.hpp"
#include "usher/audit/read_kinds.hpp"
#include "usher/operations/settings.hpp"

namespace usher::audit {

namespace {
/// The row about a read must be written in a transaction that only reads as well, such as that of a route that is
/// declared read_only. What that forbids is changing data on the caller's behalf.
class MayWrite {
public:
    MayWrite() { XactReadOnly = false; }
    ~MayWrite() { XactReadOnly = before_; }
    MayWrite(const MayWrite &) = delete;
    MayWrite &operator=(const MayWrite &) = delete;

private:
    bool before_ = XactReadOnly;
};

bool is_wanted(std::string_view kind) { return names_read_kind(guc::audit_reads, kind); }

/// What was read stays read when the transaction is rolled back, so its row does as well.
void log(std::string_view kind, std::string_view id, std::string_view data) {
    // A log with holes where somebody asks a standby would be none.
    if (pg::call([] { return RecoveryInProgress(); }))
        throw Error(errc::read_must_be_logged, "this reading is logged, which a standby cannot do",
                    json::Object().add("resource_type", kind).text(), "Ask the primary server.");
    Event event;
    event.event_type = "data.read";
    event.data = data;
    event.source = "application";
    event.resource_type = kind;
    event.resource_id = id;
    event.survives_rollback = true;
    const MayWrite may_write;
    log_event(event);
}

/// So many ids that a row about them can outlive a rollback.
constexpr std::size_t ids_of_a_row = 128;

void log_all(std::string_view kind, std::span<const Uuid> ids, bool is_sensitive) {
    if (ids.size() == 1) return log(kind, to_string(ids.front()), is_sensitive ? R"({"sensitive":true})" : "{}");
    for (; !ids.empty(); ids = ids.subspan(std::min(ids.size(), ids_of_a_row))) {
        std::string list;
        for (const Uuid &id : ids.first(std::min(ids.size(), ids_of_a_row))) {
            list += list.empty() ? '[' : ',';
            list += json::quote(to_string(id));
        }
        json::Object data;
        data.add_json("ids", list + ']');
        if (is_sensitive) data.add("sensitive", true);
        log(kind, {}, data.text());
    }
}
} // namespace

void log_read(std::string_view kind, std::string_view id, std::string_view data) {
    if (is_wanted(kind)) log(kind, id, data);
}

} // namespace usher::audit

/// usher.log_read(resource_type, resource_id, data)
USHER_FUNCTION(usher_audit_log_read) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::string_view kind = args.text(0);
    if (!audit::is_wanted(kind)) return pg::null_result(fcinfo);
    const std::string data = args.optional_output(2).value_or("{}");
    if (data.front() != '{')
        throw Error(errc::invalid_argument, "data must be a JSON object", R"({"argument":"data"})");
    audit::log_read(kind, args.optional_text(1).value_or(""), data);
    return pg::null_result(fcinfo);
}

/// usher.log_reads(resource_type, ids, sensitive_ids)
USHER_FUNCTION(usher_audit_log_reads) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::string_view kind = args.text(0);
    const std::vector<Uuid> sensitive = args.uuid_array(2);
    if (audit::is_wanted(kind))
        audit::log_all(kind, args.uuid_array(1), !sensitive.empty());
    else
        audit::log_all(kind, sensitive, true);
    return pg::null_result(fcinfo);
}
