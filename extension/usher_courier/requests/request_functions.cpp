// Requests that go out: what they hold is kept sealed, webhooks are signed, answers reach their handlers.
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include "common/random.hpp"
#include "common/utf8.hpp"
#include "kit/handler.hpp"
#include "usher_courier/courier_kit.hpp"
#include "usher_courier/requests/request_url.hpp"

namespace usher::courier {

namespace {

constexpr std::string_view secret_prefix = "whsec_";

constinit Statement enqueue{R"(
    SELECT @._enqueue_request($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11))"};
constinit Statement valid_keys{R"(
    SELECT k.id, k.secret
    FROM @.webhook_keys AS k
    WHERE k.webhook_id = $1 AND (k.expires_at IS NULL OR k.expires_at > pg_catalog.clock_timestamp())
    ORDER BY k.expires_at NULLS FIRST, k.id)"};

constinit pg::Statement find_handler{R"(
    SELECT FROM pg_catalog.pg_proc AS p
    WHERE p.oid = $1 AND p.prokind = 'f' AND NOT p.proretset AND p.proargtypes = '2950 3802'::pg_catalog.oidvector)",
                                     pg::Access::read};

std::string content_context(std::string_view column, const Uuid &request) {
    return "http_requests." + std::string(column) + ':' + to_string(request);
}
std::string key_context(const Uuid &key) { return "webhook_keys.secret:" + to_string(key); }

/// An argument as it is, whatever its type.
pg::Param as_given(FunctionCallInfo fcinfo, int i, Oid type) {
    return fcinfo->args[i].isnull ? pg::null(type) : pg::datum(type, fcinfo->args[i].value);
}

/// The bytes of a secret of standardwebhooks.com; empty when it is not one, or too short or too long for one.
std::string secret_bytes(std::string_view secret) {
    std::string bytes;
    if (secret.starts_with(secret_prefix))
        bytes = base64_decode(secret.substr(secret_prefix.size())).value_or(std::string());
    return bytes.size() < 24 || bytes.size() > 64 ? std::string() : bytes;
}

} // namespace

} // namespace usher::courier

/// _seal_content(column_name, request, content)
USHER_FUNCTION(usher_courier_seal_content) {
    using namespace usher;
    const pg::Args args(fcinfo);
    if (args.is_null(2)) return pg::null_result(fcinfo);
    const std::string context = courier::content_context(args.text(0), args.uuid(1));
    return pg::result(pg::text(kit::store_secret(args.text(2), context)));
}

/// _open_content(column_name, request, stored)
USHER_FUNCTION(usher_courier_open_content) {
    using namespace usher;
    const pg::Args args(fcinfo);
    if (args.is_null(2)) return pg::null_result(fcinfo);
    std::string content = kit::open_secret(args.text(2), courier::content_context(args.text(0), args.uuid(1)));
    const Datum result = pg::result(pg::text(content));
    wipe(content);
    return result;
}

/// _url_problem(url, allowed_networks)
USHER_FUNCTION(usher_courier_url_problem) {
    using namespace usher;
    const pg::Args args(fcinfo);
    std::vector<IpNetwork> allowed;
    if (!args.is_null(1))
        for (const std::string &each : args.text_array(1))
            if (const std::optional<IpNetwork> network = IpNetwork::parse(each)) allowed.push_back(*network);
    const char *const problem = courier::url_problem(args.optional_text(0).value_or(""), allowed);
    return problem == nullptr ? pg::null_result(fcinfo) : pg::result(pg::text(problem));
}

/// _call_request_handler(handler, request, answer, seconds)
USHER_FUNCTION(usher_courier_call_request_handler) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::array<pg::Param, 2> arguments{courier::as_given(fcinfo, 1, UUIDOID),
                                             courier::as_given(fcinfo, 2, JSONBOID)};
    // Whoever may call this names any function: one with other arguments would misread these.
    if (courier::find_handler.run({pg::oid(args.oid(0))}).empty())
        throw Error(errc::unknown_reference, "the handler is not a function (request uuid, answer jsonb)");
    kit::call_handler(args.oid(0), arguments, args.is_null(3) ? 0 : args.int4(3));
    PG_RETURN_VOID();
}

/// enqueue_http_request(url, method, headers, body, handler, context, ordering_key, max_attempts, time_limit,
/// max_bytes)
USHER_FUNCTION(usher_courier_enqueue_http_request) {
    using namespace usher;
    using namespace usher::courier;
    const Schema schema(fcinfo);
    // Whose handlers it may name is the right of whoever calls, not of the one whose tables these are.
    const Oid caller = GetUserId();
    const pg::AsOwner owner;
    const std::array<pg::Param, 11> values{pg::oid(caller),
                                           as_given(fcinfo, 0, TEXTOID),
                                           as_given(fcinfo, 1, TEXTOID),
                                           as_given(fcinfo, 2, JSONBOID),
                                           as_given(fcinfo, 3, TEXTOID),
                                           as_given(fcinfo, 4, OIDOID),
                                           as_given(fcinfo, 5, JSONBOID),
                                           as_given(fcinfo, 6, TEXTOID),
                                           as_given(fcinfo, 7, INT4OID),
                                           as_given(fcinfo, 8, INTERVALOID),
                                           as_given(fcinfo, 9, INT4OID)};
    return pg::result(pg::uuid(enqueue.run(schema, values).front().uuid(0)));
}

/// _is_text(bytes)
USHER_FUNCTION(usher_courier_is_text) {
    using namespace usher;
    const pg::Args args(fcinfo);
    const std::string_view bytes = args.text(0);
    return BoolGetDatum(is_valid_utf8(bytes) && bytes.find('\0') == std::string_view::npos);
}

/// _new_webhook_secret(webhook_key, given) → secret, stored
USHER_FUNCTION(usher_courier_new_webhook_secret) {
    using namespace usher;
    using namespace usher::courier;
    const pg::Args args(fcinfo);
    std::string secret(args.optional_text(1).value_or(""));
    if (args.is_null(1))
        secret = std::string(secret_prefix) + base64_encode(random_bytes(32));
    else if (secret_bytes(secret).empty())
        throw Error(errc::invalid_argument, "secret must be whsec_ and 24 to 64 bytes in base64",
                    R"({"argument":"secret"})");
    const std::string stored = kit::store_secret(secret, key_context(args.uuid(0)));
    pg::RowBuilder row(fcinfo);
    row.set("secret", pg::text(secret)).set("stored", pg::text(stored));
    wipe(secret);
    return row.finish();
}

/// _sign_webhook(webhook, message_id, signed_at, body)
USHER_FUNCTION(usher_courier_sign_webhook) {
    using namespace usher;
    using namespace usher::courier;
    const pg::Args args(fcinfo);
    const std::string head = std::string(args.text(1)) + '.' + std::to_string(args.int8(2)) + '.';
    const pg::Rows keys = valid_keys.run(Schema(fcinfo), {pg::uuid(args.uuid(0))});
    if (keys.empty()) throw Error(errc::unknown_reference, "the webhook has no secret to sign with");
    std::string signatures;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        std::string secret = kit::open_secret(keys[i].text(1), key_context(keys[i].uuid(0)));
        std::string bytes = secret_bytes(secret);
        if (bytes.empty()) throw Error(errc::unknown_reference, "a secret of the webhook is none to sign with");
        const auto mac = hmac_sha256(bytes, {head, args.text(3)});
        wipe(secret);
        wipe(bytes);
        if (!signatures.empty()) signatures += ' ';
        signatures += "v1," + base64_encode({reinterpret_cast<const char *>(mac.data()), mac.size()});
    }
    return pg::result(pg::text(signatures));
}
