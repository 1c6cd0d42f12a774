// Webhooks as they arrive: nothing of the body is read before its signature has been found good.
#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "common/text.hpp"
#include "usher_payment/card_numbers/card_number.hpp"
#include "usher_payment/webhooks/ingest.hpp"
#include "usher_payment/webhooks/webhook_secrets.hpp"

namespace usher::payment {

namespace {
constinit Statement insert_secret{R"(
    INSERT INTO @.payment_webhook_secrets (id, processor, scheme, header_name, secret, tolerance_seconds, label,
                                           expires_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};

/// Looked up where they are: only the few that a scheme names are read.
Headers headers_argument(FunctionCallInfo fcinfo, int argument) {
    Jsonb *const given =
        fcinfo->args[argument].isnull ? nullptr : pg::call([&] { return PG_GETARG_JSONB_P(argument); });
    return [given](std::string_view name) -> std::string {
        if (given == nullptr || !JB_ROOT_IS_OBJECT(given)) return {};
        JsonbValue buffer;
        const JsonbValue *const found = pg::call([&]() -> const JsonbValue * {
            return getKeyJsonValueFromContainer(&given->root, name.data(), static_cast<int>(name.size()), &buffer);
        });
        if (found == nullptr || found->type != jbvString) return {};
        return {found->val.string.val, static_cast<std::size_t>(found->val.string.len)};
    };
}

/// The scheme in which a secret of the processor has signed it; all of them are tried.
std::optional<Scheme> signed_by(const Schema &schema, std::string_view processor, const Headers &headers,
                                std::string_view body) {
    std::optional<Scheme> found;
    const Instant now = pg::clock_time();
    Signed request(headers, body);
    for (const KeptSecret &each : secrets_of(schema, processor)) {
        if (each.expires_at && *each.expires_at <= now) continue;
        std::string secret = kit::open_secret(each.stored, each.context);
        if (request.by({each.scheme, secret, each.header, each.tolerance_seconds}, now)) found = each.scheme;
        wipe(secret);
    }
    return found;
}
} // namespace

} // namespace usher::payment

/// verify_webhook(processor, request_body, request_headers): plain, without a change of user for each call
USHER_FUNCTION(usher_payment_verify_webhook) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    if (args.is_null(0) || args.is_null(1)) return BoolGetDatum(false);
    const Headers headers = headers_argument(fcinfo, 2);
    return BoolGetDatum(signed_by(Schema(fcinfo), args.text(0), headers, args.text(1)).has_value());
}

/// receive_webhook(processor, request_body, request_headers) → error, accepted, duplicate
USHER_FUNCTION(usher_payment_receive_webhook) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::string_view processor = args.text(0), body = args.optional_text(1).value_or("");
    const Headers headers = headers_argument(fcinfo, 2);
    pg::RowBuilder row(fcinfo);
    const auto refuse = [&](const ErrorCode &code) {
        return row.set("error", pg::text(code.name)).set("accepted", pg::boolean(false)).finish();
    };
    const std::optional<Scheme> scheme = signed_by(schema, processor, headers, body);
    if (!scheme) return refuse(errc::webhook_signature_invalid);
    std::optional<WebhookEvent> event = parse_webhook(body);
    if (event && scheme == Scheme::standard) event->id = headers("webhook-id"); // the signed one
    if (!event || event->id.empty() || event->id.size() > 255 || event->type.empty())
        return refuse(errc::webhook_malformed);
    const Ingested done = ingest(schema, processor, *event);
    return row.set("accepted", pg::boolean(true)).set("duplicate", pg::boolean(done.is_duplicate)).finish();
}

/// ingest_webhook(processor, event_id, event_type, occurred_at, payload)
USHER_FUNCTION(usher_payment_ingest_webhook) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    kit::require("payment:process");
    const std::string_view processor = args.text(0), id = args.text(1), type = args.text(2);
    if (processor.empty() || id.empty() || id.size() > 255 || type.empty())
        throw Error(errc::invalid_argument, "processor, event_id and event_type are needed",
                    R"({"argument":"event_id"})");
    // In the form in which processors send it: data, and in it the object or the members.
    const std::string body = "{\"id\":" + json::quote(id) + ",\"type\":" + json::quote(type) +
                             ",\"data\":" + args.optional_output(4).value_or("{}") + "}";
    std::optional<WebhookEvent> event = parse_webhook(body);
    if (!event) throw Error(errc::invalid_argument, "payload must be a JSON object", R"({"argument":"payload"})");
    event->occurred_at = args.optional_time(3);
    const Ingested done = ingest(schema, processor, *event);
    pg::RowBuilder row(fcinfo);
    row.set("accepted", pg::boolean(true)).set("duplicate", pg::boolean(done.is_duplicate));
    row.set("effect", pg::text(done.effect))
        .set("transaction_id", pg::uuid_or_null(done.transaction ? &*done.transaction : nullptr));
    return row.finish();
}

/// add_webhook_secret(processor, scheme, secret, header_name, tolerance_seconds, label, expires_at)
USHER_FUNCTION(usher_payment_add_webhook_secret) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    kit::require("webhook:manage");
    const std::optional<Scheme> scheme = parse_scheme(args.text(1));
    if (!scheme)
        throw Error(errc::invalid_argument, "scheme must be stripe, standard or hmac", R"({"argument":"scheme"})");
    std::string header(args.optional_text(3).value_or(""));
    for (char &c : header)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((*scheme == Scheme::hmac) == header.empty())
        throw Error(errc::invalid_argument, "header_name is needed for scheme hmac, and only there",
                    R"({"argument":"header_name"})");
    // The server would show a row that a constraint refuses, with the secret in it.
    const auto refuse_unless = [](bool is_good, const char *argument, const char *what) {
        if (is_good) return;
        throw Error(errc::invalid_argument, what, json::Object().add("argument", argument).text());
    };
    const std::string_view processor = args.text(0);
    const std::int32_t tolerance = args.is_null(4) ? 300 : args.int4(4);
    const auto is_word = [](char c) { return is_lower(c) || is_digit(c) || c == '_'; };
    refuse_unless(!processor.empty() && processor.size() <= 20 && is_lower(processor.front()) &&
                      std::all_of(processor.begin(), processor.end(), is_word),
                  "processor", "processor must have 1 to 20 characters of a-z, 0-9 and _, and begin with a letter");
    refuse_unless(header.size() <= 64 && std::all_of(header.begin(), header.end(),
                                                     [](char c) { return is_lower(c) || is_digit(c) || c == '-'; }),
                  "header_name", "header_name must have at most 64 letters, digits and hyphens");
    refuse_unless(tolerance >= 1 && tolerance <= 86400, "tolerance_seconds",
                  "tolerance_seconds must be between 1 and 86400");
    refuse_unless(args.is_null(5) || (kit::characters(args.text(5)) <= 100 && !has_card_number(args.text(5))), "label",
                  "label must have at most 100 characters, and no card number");
    if (const std::string_view problem = secret_problem(*scheme, args.text(2)); !problem.empty())
        throw Error(errc::invalid_argument, std::string(problem), R"({"argument":"secret"})");
    const Uuid id = pg::new_uuid();
    std::string stored = kit::store_secret(args.text(2), context_of(id));
    const std::optional<Uuid> actor = kit::current_user();
    insert_secret.run(schema,
                      {pg::uuid(id), pg::text(args.text(0)), pg::text(args.text(1)), pg::text_unless_empty(header),
                       pg::text(stored), pg::int4(tolerance), pg::text_or_null(args.optional_text(5)),
                       pg::timestamptz_or_null(args.optional_time(6)), pg::uuid_or_null(actor ? &*actor : nullptr)});
    wipe(stored);
    return pg::result(pg::uuid(id));
}
