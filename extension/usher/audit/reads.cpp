// usher.log_read(): who has read personal data.
#include "common/json.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/audit/audit.hpp"
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
} // namespace

} // namespace usher::audit

/// usher.log_read(resource_type, resource_id, data)
USHER_FUNCTION(usher_audit_log_read) {
    using namespace usher;
    const pg::Args args(fcinfo);
    // a standby cannot write anything
    if (!guc::audit_reads || pg::call([] { return RecoveryInProgress(); })) return pg::null_result(fcinfo);
    const std::string data = args.optional_output(2).value_or("{}");
    if (data.front() != '{')
        throw Error(errc::invalid_argument, "data must be a JSON object", R"({"argument":"data"})");
    audit::Event event;
    event.event_type = "data.read";
    event.data = data;
    event.source = "application";
    event.resource_type = args.text(0);
    event.resource_id = args.optional_text(1).value_or("");
    const audit::MayWrite may_write;
    audit::log_event(event);
    return pg::null_result(fcinfo);
}
