// What workers and staff call: the result of an attempt, and money that people take themselves.
#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"
#include "usher_payment/settlement/settling.hpp"
#include "usher_payment/transactions/payment_permissions.hpp"
#include "usher_payment/webhooks/response_filter.hpp"
#include <algorithm>

namespace usher::payment {

namespace {
constinit Statement find_payment{R"(
    SELECT t.location_id, t.reference_type, t.reference_id
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};
constinit Statement lock_payment{R"(
    SELECT t.status, t.closed_at IS NOT NULL, t.amount_minor, t.captured_minor, t.attempt_count, t.processor, t.version,
           t.payment_method
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};
constinit Statement set_method{"UPDATE @.payment_transactions AS t SET payment_method = $2 WHERE t.id = $1"};
constinit Statement insert{R"(
    INSERT INTO @.payment_attempts (id, transaction_id, attempt_no, processor, provider_key, outcome,
                                    processor_transaction_id, captured_minor, requested_by, resolved_at)
    VALUES ($1, $2, $3, 'manual', $4, 'succeeded', $5, $6, $7, pg_catalog.clock_timestamp()))"};
constinit Statement read_state{R"(
    SELECT t.status, t.captured_minor, t.version
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};

// Everything else needs a processor, whose word counts.
constexpr std::string_view manual_methods[] = {"cash", "bank_transfer", "voucher", "cheque"};

Datum receipt(FunctionCallInfo fcinfo, const Uuid &transaction, std::string_view status, std::int64_t captured,
              std::int32_t version, bool is_replayed) {
    pg::RowBuilder row(fcinfo);
    row.set("transaction_id", pg::uuid(transaction)).set("status", pg::text(status));
    row.set("captured_minor", pg::int8(captured)).set("version", pg::int4(version));
    row.set("replayed", pg::boolean(is_replayed));
    return row.finish();
}
} // namespace

Outcome outcome_argument(const pg::Args &args, int argument) {
    const std::optional<Outcome> outcome = parse_outcome(args.text(argument));
    if (outcome != Outcome::succeeded && outcome != Outcome::declined && outcome != Outcome::unknown)
        throw Error(errc::invalid_argument, "outcome must be succeeded, declined or unknown",
                    R"({"argument":"outcome"})");
    return *outcome;
}

} // namespace usher::payment

/// record_payment_result(attempt_id, outcome, processor_transaction_id, captured_minor, response, failure_code,
/// fee_minor)
USHER_FUNCTION(usher_payment_record_result) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    kit::require("payment:process");
    AttemptReport report;
    const Uuid attempt = args.uuid(0);
    report.outcome = outcome_argument(args, 1);
    report.processor_transaction_id = args.optional_text(2).value_or("");
    if (!args.is_null(3)) report.captured_minor = args.int8(3);
    if (!args.is_null(4)) report.response = filter_response(args.output(4));
    report.failure_code = args.optional_text(5).value_or("");
    if (!args.is_null(6)) report.fee_minor = args.int8(6);
    if (report.fee_minor && *report.fee_minor < 0)
        throw Error(errc::invalid_argument, "fee_minor must not be negative", R"({"argument":"fee_minor"})");
    const PaymentState state = report_attempt(Schema(fcinfo), attempt, report);
    return receipt(fcinfo, state.transaction, state.status, state.captured_minor, state.version, state.is_known);
}

/// record_manual_payment(transaction_id, payment_method, captured_minor, receipt, expected_version)
USHER_FUNCTION(usher_payment_record_manual) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid transaction = args.uuid(0);
    const pg::Rows found = find_payment.run(schema, {pg::uuid(transaction)});
    require("payment:record", found.empty() ? std::nullopt
                                            : place_of(schema, found.front().optional_uuid(0),
                                                       found.front().optional_text(1), found.front().optional_uuid(2)));
    if (found.empty()) refuse_transaction(transaction);
    announce(found.front().optional_text(1), found.front().optional_uuid(2), transaction);
    const pg::Rows rows = lock_payment.run(schema, {pg::uuid(transaction)});
    const pg::Row payment = rows.front();
    const std::string_view status = payment.text(0);
    const std::int64_t captured = args.is_null(2) ? payment.int8(2) : args.int8(2);
    const std::string method(args.optional_text(1).value_or(payment.text(7)));
    const std::string detail = json::Object().add("transaction_id", transaction).add("status", status).text();
    if ((status == "completed" || status == "refunded") && !payment.is_null(5) && payment.text(5) == "manual" &&
        payment.int8(3) == captured && payment.text(7) == method)
        return receipt(fcinfo, transaction, status, captured, payment.int4(6), true);
    check_version(payment.int4(6), args.is_null(4) ? std::nullopt : std::optional(args.int4(4)), transaction);
    if (payment.boolean(1)) throw Error(errc::payment_closed, "payment was given up", detail);
    if (status == "processing")
        throw Error(errc::outcome_unknown, "a processor is at work on the payment", detail,
                    "Wait for its result, or report it, before other money is taken.");
    if (status != "pending" && status != "failed")
        throw Error(errc::illegal_transition, "payment is " + std::string(status) + " already", detail);
    if (std::find(std::begin(manual_methods), std::end(manual_methods), method) == std::end(manual_methods))
        throw Error(errc::invalid_argument, "only cash, bank_transfer, voucher and cheque are recorded by people",
                    R"({"argument":"payment_method"})");
    if (captured < 1 || captured > payment.int8(2))
        throw Error(errc::invalid_argument, "captured_minor must be between 1 and the amount of the payment",
                    R"({"argument":"captured_minor"})");
    if (method != payment.text(7)) set_method.run(schema, {pg::uuid(transaction), pg::text(method)});
    const Uuid attempt = pg::new_uuid();
    const std::string key = "usher-" + to_string(attempt);
    const std::optional<Uuid> actor = kit::current_user();
    {
        const Settling now(transaction);
        insert.run(schema, {pg::uuid(attempt), pg::uuid(transaction), pg::int4(payment.int4(4) + 1), pg::text(key),
                            pg::text_or_null(args.optional_text(3)), pg::int8(captured),
                            pg::uuid_or_null(actor ? &*actor : nullptr)});
    }
    const pg::Rows after = read_state.run(schema, {pg::uuid(transaction)});
    const pg::Row now = after.front();
    return receipt(fcinfo, transaction, now.text(0), now.int8(1), now.int4(2), false);
}
