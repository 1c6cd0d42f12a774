#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "usher_payment/transactions/payment_permissions.hpp"
#include <algorithm>

namespace usher::payment {

namespace {
enum Argument : std::uint8_t {
    customer,
    amount,
    currency,
    method,
    reference_type,
    reference,
    purpose,
    processor,
    id,
    key,
    location,
    expires_at,
    exponent,
    exclusive,
};

constinit Statement insert{R"(
    INSERT INTO @.payment_transactions (id, customer_id, user_id, amount_minor, currency, exponent, payment_method,
        reference_type, reference_id, purpose, processor, idempotency_scope, idempotency_key, request_hash, location_id,
        expires_at, exclusive, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING)"};
constinit Statement find_by_key{R"(
    SELECT t.id, t.amount_minor, t.currency, t.request_hash
    FROM @.payment_transactions AS t
    WHERE t.idempotency_scope = $1 AND t.idempotency_key = $2)"};
constinit Statement read_role{"SELECT session_user::text"};

/// All arguments but the key, so that a repeated call is told from another one with the same key.
std::string request_hash(const pg::Args &args) {
    std::string text;
    for (int i = customer; i <= exclusive; ++i) {
        if (i == key) continue;
        const std::optional<std::string> value = args.optional_output(i);
        text += value ? json::quote(*value) : "-";
        text += ',';
    }
    return sha256_bytes(text);
}

// What the handlers of events ask for by themselves: who has paid such a one has settled what a booking or order waits
// for.
constexpr std::string_view reserved_purposes[] = {"deposit", "balance", "duplicate"};

/// One that stands in the way of others, or for what features ask for, is not for customers to make.
bool is_for_managers(const pg::Args &args) {
    if (!args.is_null(exclusive) && args.boolean(exclusive)) return true;
    const std::string given(args.optional_text(purpose).value_or(""));
    return std::find(std::begin(reserved_purposes), std::end(reserved_purposes), given) != std::end(reserved_purposes);
}

Datum receipt(FunctionCallInfo fcinfo, const Uuid &transaction, std::int64_t amount_minor, std::string_view code,
              bool is_replayed) {
    pg::RowBuilder row(fcinfo);
    row.set("transaction_id", pg::uuid(transaction)).set("status", pg::text("pending"));
    row.set("amount_minor", pg::int8(amount_minor)).set("currency", pg::text(code));
    row.set("version", pg::int4(1)).set("replayed", pg::boolean(is_replayed));
    return row.finish();
}
} // namespace

} // namespace usher::payment

/// create_payment(customer_id, amount_minor, currency, payment_method, reference_type, reference_id, purpose,
/// processor, id, idempotency_key, location_id, expires_at, exponent, exclusive)
USHER_FUNCTION(usher_payment_create) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Uuid> actor = kit::current_user();
    if (args.is_null(amount) || args.is_null(currency))
        throw Error(errc::invalid_argument, "amount_minor and currency are needed",
                    json::Object().add("argument", args.is_null(amount) ? "amount_minor" : "currency").text());
    const std::optional<Uuid> given = args.optional_uuid(customer);
    const std::optional<Uuid> person = acting_person(schema);
    const bool is_own = person && (!given || *given == *person);
    const std::optional<Uuid> stated = args.optional_uuid(location);
    const std::optional<Uuid> place =
        place_of(schema, stated, args.optional_text(reference_type), args.optional_uuid(reference));
    if (!is_own || is_for_managers(args)) require("payment:manage", place);
    if (stated && *stated != *place)
        throw Error(errc::invalid_argument, "location_id is not where the reference is",
                    R"({"argument":"location_id"})");
    if (!given && !actor) throw Error(errc::invalid_argument, "customer_id is needed", R"({"argument":"customer_id"})");
    const Uuid payer = given ? *given : *actor;
    require_payable(args.int8(amount), "amount_minor");
    const int places = require_currency(args.text(currency));
    if (!args.is_null(exponent) && args.int4(exponent) != places)
        throw Error(errc::invalid_argument,
                    "exponent of " + std::string(args.text(currency)) + " is " + std::to_string(places),
                    json::Object().add("argument", "exponent").add("exponent", std::int64_t{places}).text());
    if (args.is_null(reference_type) != args.is_null(reference))
        throw Error(errc::invalid_argument, "reference_type and reference_id belong together",
                    R"({"argument":"reference_id"})");
    const kit::UserState state = kit::lock_user(payer);
    if (state == kit::UserState::inactive || (is_own && state != kit::UserState::active))
        throw Error(errc::unknown_reference, "customer does not exist",
                    json::Object().add("customer_id", payer).text());
    const bool has_account = state == kit::UserState::active;

    const Uuid made = args.is_null(id) ? pg::new_uuid() : args.uuid(id);
    std::string scope, repeat_key = to_string(made), hash;
    if (const auto repeated = args.optional_text(key)) {
        kit::require_idempotency_key(*repeated);
        repeat_key = *repeated;
        scope = actor ? to_string(*actor) : read_role.run(schema, std::span<const pg::Param>{}).front().string(0);
        hash = request_hash(args);
    }
    const bool is_new =
        insert
            .run(schema,
                 {pg::uuid(made), pg::uuid(payer), pg::uuid_or_null(has_account ? &payer : nullptr),
                  pg::int8(args.int8(amount)), pg::text(args.text(currency)),
                  pg::datum(INT2OID, Int16GetDatum(static_cast<std::int16_t>(places))),
                  pg::text(args.optional_text(method).value_or("card")),
                  pg::text_or_null(args.optional_text(reference_type)), pg::uuid_or_null(args.optional_uuid(reference)),
                  pg::text(args.optional_text(purpose).value_or("sale")),
                  pg::text_or_null(args.optional_text(processor)), pg::text(scope), pg::text(repeat_key),
                  hash.empty() ? pg::null(BYTEAOID) : pg::bytea(hash), pg::uuid_or_null(place),
                  pg::timestamptz_or_null(args.optional_time(expires_at)),
                  pg::boolean(!args.is_null(exclusive) && args.boolean(exclusive)),
                  pg::uuid_or_null(actor ? &*actor : nullptr)})
            .processed() > 0;
    if (is_new) return receipt(fcinfo, made, args.int8(amount), args.text(currency), false);
    const pg::Rows found = find_by_key.run(schema, {pg::text(scope), pg::text(repeat_key)});
    if (found.empty()) throw Error("40001", "could not serialize access: the idempotency key has just been used");
    const pg::Row stored = found.front();
    if (stored.is_null(3) || stored.text(3) != hash)
        throw Error(errc::idempotency_mismatch, "idempotency key was used before with other arguments", "{}");
    return receipt(fcinfo, stored.uuid(0), stored.int8(1), stored.text(2), true);
}
