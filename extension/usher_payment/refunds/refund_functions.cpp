#include "common/digest.hpp"
#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"
#include "usher_payment/transactions/payment_permissions.hpp"
#include "usher_payment/webhooks/response_filter.hpp"

namespace usher::payment {

namespace {
constinit Statement find_payment{R"(
    SELECT t.location_id, t.reference_type, t.reference_id
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};
constinit Statement lock_payment{"SELECT FROM @.payment_transactions AS t WHERE t.id = $1 FOR NO KEY UPDATE"};
constinit Statement find_by_key{R"(
    SELECT r.id, r.amount_minor, r.remaining_minor, r.provider_key, r.request_hash
    FROM @.payment_refunds AS r
    WHERE r.idempotency_scope = $1 AND r.idempotency_key = $2)"};
constinit Statement insert{R"(
    INSERT INTO @.payment_refunds (id, transaction_id, amount_minor, reason_code, notes, idempotency_scope,
                                   idempotency_key, request_hash, requested_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING
    RETURNING amount_minor, remaining_minor, provider_key)"};
constinit Statement read_role{"SELECT session_user::text"};
constinit Statement find_refund{R"(
    SELECT t.location_id, t.reference_type, t.reference_id, r.processor
    FROM @.payment_refunds AS r JOIN @.payment_transactions AS t ON t.id = r.transaction_id
    WHERE r.id = $1)"};

Datum receipt(FunctionCallInfo fcinfo, const Uuid &refund, std::int64_t amount, std::int64_t remaining,
              std::string_view key, bool is_replayed) {
    pg::RowBuilder row(fcinfo);
    row.set("refund_id", pg::uuid(refund)).set("status", pg::text("pending")).set("amount_minor", pg::int8(amount));
    row.set("remaining_minor", pg::int8(remaining)).set("provider_key", pg::text(key));
    row.set("replayed", pg::boolean(is_replayed));
    return row.finish();
}
} // namespace

} // namespace usher::payment

/// create_refund(transaction_id, amount_minor, reason_code, notes, idempotency_key)
USHER_FUNCTION(usher_payment_create_refund) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid transaction = args.uuid(0);
    const pg::Rows payments = find_payment.run(schema, {pg::uuid(transaction)});
    require("payment:refund", payments.empty()
                                  ? std::nullopt
                                  : place_of(schema, payments.front().optional_uuid(0),
                                             payments.front().optional_text(1), payments.front().optional_uuid(2)));
    if (payments.empty()) refuse_transaction(transaction);
    announce(payments.front().optional_text(1), payments.front().optional_uuid(2), transaction);
    lock_payment.run(schema, {pg::uuid(transaction)});
    if (!args.is_null(1)) require_payable(args.int8(1), "amount_minor");

    const Uuid made = pg::new_uuid();
    const std::optional<Uuid> actor = kit::current_user();
    std::string scope, key = to_string(made), hash;
    if (const auto given = args.optional_text(4)) {
        kit::require_idempotency_key(*given);
        key = *given;
        scope = actor ? to_string(*actor) : read_role.run(schema, std::span<const pg::Param>{}).front().string(0);
        json::Object asked;
        asked.add("transaction_id", transaction).add("amount", args.optional_output(1).value_or("all"));
        asked.add("reason", args.optional_text(2).value_or("")).add("notes", args.optional_text(3).value_or(""));
        hash = sha256_bytes(asked.text());
        // Asked before anything is reserved: a repeated call may find nothing left to refund.
        const pg::Rows known = find_by_key.run(schema, {pg::text(scope), pg::text(key)});
        if (!known.empty()) {
            const pg::Row stored = known.front();
            if (stored.is_null(4) || stored.text(4) != hash)
                throw Error(errc::idempotency_mismatch, "idempotency key was used before with other arguments", "{}");
            return receipt(fcinfo, stored.uuid(0), stored.int8(1), stored.int8(2), stored.text(3), true);
        }
    }
    const pg::Rows rows = insert.run(
        schema, {pg::uuid(made), pg::uuid(transaction), args.is_null(1) ? pg::null(INT8OID) : pg::int8(args.int8(1)),
                 pg::text_or_null(args.optional_text(2)), pg::text_or_null(args.optional_text(3)), pg::text(scope),
                 pg::text(key), hash.empty() ? pg::null(BYTEAOID) : pg::bytea(hash),
                 pg::uuid_or_null(actor ? &*actor : nullptr)});
    // Those of one payment wait for each other above: this key has just been used for another one.
    if (rows.empty())
        throw Error(errc::idempotency_mismatch, "idempotency key was used before with other arguments", "{}");
    const pg::Row row = rows.front();
    return receipt(fcinfo, made, row.int8(0), row.int8(1), row.text(2), false);
}

/// record_refund_result(refund_id, outcome, processor_refund_id, response, failure_code)
USHER_FUNCTION(usher_payment_record_refund) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid refund = args.uuid(0);
    const pg::Rows found = find_refund.run(schema, {pg::uuid(refund)});
    // Money that people have taken themselves, people give back.
    if (!found.empty() && found.front().text(3) == "manual")
        require("payment:record", place_of(schema, found.front().optional_uuid(0), found.front().optional_text(1),
                                           found.front().optional_uuid(2)));
    else
        kit::require("payment:process");
    RefundReport report;
    report.outcome = outcome_argument(args, 1);
    report.processor_refund_id = args.optional_text(2).value_or("");
    if (!args.is_null(3)) report.response = filter_response(args.output(3));
    report.failure_code = args.optional_text(4).value_or("");
    const RefundState state = report_refund(schema, refund, report);
    pg::RowBuilder row(fcinfo);
    row.set("refund_id", pg::uuid(refund)).set("status", pg::text(state.status));
    row.set("refunded_minor", pg::int8(state.refunded_minor))
        .set("transaction_status", pg::text(state.transaction_status));
    row.set("replayed", pg::boolean(state.is_known));
    return row.finish();
}
