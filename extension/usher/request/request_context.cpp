#include "common/error.hpp"
#include "common/text.hpp"
#include "pg/args.hpp"
#include "pg/xact.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::request {

namespace {
constinit pg::TransactionLocal<Context> current_context;

constexpr std::size_t max_user_agent = 512;
constexpr std::size_t max_correlation_id = 128;

bool is_visible_ascii(char c) { return c > ' ' && c < '\x7f'; }

// Both end up in log lines and answers: no line breaks, no megabytes.
void check(const Context &context) {
    if (context.user_agent.size() > max_user_agent)
        throw Error(errc::invalid_argument, "user_agent is longer than 512 bytes");
    if (std::any_of(context.user_agent.begin(), context.user_agent.end(), is_control))
        throw Error(errc::invalid_argument, "user_agent contains control characters");
    if (context.correlation_id.size() > max_correlation_id)
        throw Error(errc::invalid_argument, "correlation_id is longer than 128 characters");
    if (!std::all_of(context.correlation_id.begin(), context.correlation_id.end(), is_visible_ascii))
        throw Error(errc::invalid_argument, "correlation_id contains characters other than visible ASCII");
}
} // namespace

Context context() {
    const Context *const set = current_context.get();
    return set == nullptr ? Context{} : *set;
}

void set_context(const Context &given) {
    check(given);
    current_context.set({pg::keep_for_transaction(given.client_ip), pg::keep_for_transaction(given.user_agent),
                         pg::keep_for_transaction(given.correlation_id)});
}

} // namespace usher::request

using namespace usher;

/// usher.set_request_context(client_ip, user_agent, correlation_id)
USHER_FUNCTION(usher_request_set_context) {
    const pg::Args args(fcinfo);
    const std::string client_ip = args.optional_output(0).value_or("");
    request::set_context({client_ip, args.optional_text(1).value_or(""), args.optional_text(2).value_or("")});
    return 0;
}
