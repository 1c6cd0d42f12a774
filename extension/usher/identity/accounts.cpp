#include "usher/identity/accounts.hpp"
#include "common/error.hpp"
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/audit/audit.hpp"
#include "usher/identity/account.hpp"
#include "usher/identity/names.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
#define ACCOUNT_COLUMNS                                                                                                \
    "SELECT u.id, u.email::text, u.username::text, u.first_name::text, u.last_name::text, u.status,"                   \
    " u.email_verified_at IS NOT NULL, c.password_hash, c.password_changed_at, coalesce(c.failed_login_attempts, 0),"  \
    " coalesce(c.spent_permits, 0), c.last_failed_login_at, c.locked_until, coalesce(c.lockout_count, 0), "            \
    "c.last_lockout_at,"                                                                                               \
    " coalesce(c.reset_required, false), EXISTS (SELECT FROM usher.second_factors f WHERE f.user_id = u.id AND "       \
    "f.confirmed_at IS NOT NULL) FROM usher.users u LEFT JOIN usher.credentials c ON c.user_id = u.id "

constinit pg::Statement find_by_id{ACCOUNT_COLUMNS "WHERE u.id = $1"};
constinit pg::Statement find_by_email{ACCOUNT_COLUMNS "WHERE usher.name_key(u.email::text) = $1"};
constinit pg::Statement find_by_username{ACCOUNT_COLUMNS "WHERE usher.name_key(u.username::text) = $1"};
#undef ACCOUNT_COLUMNS

constinit pg::Statement client_address{"SELECT host(inet_client_addr())", pg::Access::read};
constinit pg::Statement client_network{
    "SELECT network(set_masklen($1, CASE family($1) WHEN 4 THEN 32 ELSE 64 END))::text", pg::Access::read};

constinit pg::Statement publish_event{"SELECT usher.publish($1, $2, $3)"};

// The same for the life of the backend.
const std::string &connection_address() {
    static constinit std::string *known = nullptr;
    if (known == nullptr) known = new std::string(client_address.run().front().optional_text(0).value_or(""));
    return *known;
}

std::optional<Account> first_account(const pg::Rows &rows) {
    if (rows.empty()) return std::nullopt;
    const pg::Row row = rows.front();
    Account account;
    account.id = row.uuid(0);
    account.email = row.string(1);
    account.username = row.optional_text(2).value_or("");
    account.first_name = row.string(3);
    account.last_name = row.string(4);
    account.status = row.string(5);
    account.email_verified = row.boolean(6);
    account.password_hash = row.optional_text(7).value_or("");
    account.password_changed_at = row.optional_time(8);
    account.lockout.failures = row.int4(9);
    account.spent_permits = static_cast<std::uint64_t>(row.int8(10));
    account.lockout.last_failure = row.optional_time(11).value_or(0);
    account.lockout.locked_until = row.optional_time(12).value_or(0);
    account.lockout.lockout_count = row.int4(13);
    account.lockout.last_lock = row.optional_time(14).value_or(0);
    account.lockout.reset_required = row.boolean(15);
    account.has_second_factor = row.boolean(16);
    return account;
}
} // namespace

std::optional<Account> find_account(std::string_view identifier) {
    const std::optional<std::string> key = name_key(identifier);
    if (!key) return std::nullopt;
    return first_account((is_meant_as_email(*key) ? find_by_email : find_by_username).run({pg::text(*key)}));
}

std::optional<Account> find_account_by_email(std::string_view email) {
    return is_meant_as_email(email) ? find_account(email) : std::nullopt;
}

std::optional<Account> find_account(const Uuid &user_id) { return first_account(find_by_id.run({pg::uuid(user_id)})); }

Account require_account(const Uuid &user_id) {
    if (std::optional<Account> account = find_account(user_id); account && account->status != "erased")
        return *std::move(account);
    throw Error(errc::unknown_reference, "user does not exist",
                json::Object().add("user_id", user_id).add("reference", "user").add("id", user_id).text());
}

Origin request_origin() {
    const request::Context context = request::context();
    Origin origin{std::string(context.client_ip), std::string(context.user_agent)};
    if (origin.address.empty()) origin.address = connection_address();
    // A dual-stack socket writes IPv4 clients so; as IPv6 they would all be in one /64.
    if (origin.address.starts_with("::ffff:") && origin.address.find('.') != std::string::npos)
        origin.address.erase(0, 7);
    return origin;
}

std::string network_of(const Origin &origin) {
    if (origin.address.empty()) return {};
    return client_network.run({pg::inet(origin.address)}).front().string(0);
}

Uuid publish(std::string_view event, const std::string &payload, const Uuid &user_id) {
    return publish_event.run({pg::text(event), pg::jsonb(payload), pg::text(to_string(user_id))}).front().uuid(0);
}

void record(const AuditEvent &event, const std::optional<Uuid> &user_id) {
    const std::string id = user_id ? to_string(*user_id) : std::string();
    audit::Event row;
    row.event_type = event.type;
    row.data = event.data;
    row.severity = event.severity;
    row.result = event.result;
    row.source = "application"; // as those that the SQL halves write by usher.log_event()
    if (user_id) row.resource_type = "user";
    row.resource_id = id;
    if (event.session_id) {
        row.actor_id = user_id;
        row.session_id = event.session_id;
    }
    (void)audit::log_event(row);
}

} // namespace usher::identity

using namespace usher;

/// usher._request_origin()
USHER_FUNCTION(usher_identity_request_origin) {
    const identity::Origin origin = identity::request_origin();
    pg::RowBuilder row(fcinfo);
    row.set("client_ip", pg::inet_or_null(origin.address));
    if (!origin.agent.empty()) row.set("user_agent", pg::text(origin.agent));
    return row.finish();
}

/// usher._check_account_fields(email, username, first_name, last_name, phone)
USHER_FUNCTION(usher_identity_check_account_fields) {
    const pg::Args args(fcinfo);
    const auto field = [&](int i) { return trim(args.optional_text(i).value_or("")); };
    const char *error = nullptr;
    if (!args.is_null(0) && !normalize_email(field(0)))
        error = "invalid_email";
    else if (!field(1).empty() && !normalize_username(field(1)))
        error = "invalid_username";
    else if (!is_valid_name(field(2)) || !is_valid_name(field(3)))
        error = "invalid_name";
    else if (!field(4).empty() && !is_valid_phone(field(4)))
        error = "invalid_phone";
    return error == nullptr ? pg::null_result(fcinfo) : pg::result(pg::text(error));
}

namespace {
template <class F> Datum optional_name(FunctionCallInfo fcinfo, const F &make) {
    const std::optional<std::string> name = make(pg::Args(fcinfo).text(0));
    return name ? pg::result(pg::text(*name)) : pg::null_result(fcinfo);
}
} // namespace

/// usher.normalize_name(name)
USHER_FUNCTION(usher_identity_normalize_name) { return optional_name(fcinfo, normalize_name); }

/// usher.name_key(name)
USHER_FUNCTION(usher_identity_name_key) { return optional_name(fcinfo, name_key); }
