#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"

namespace usher::payment {

namespace {
constinit Statement find_transaction{"SELECT r.transaction_id FROM @.payment_refunds AS r WHERE r.id = $1"};
// The refund, then its transaction, which the trigger locks.
constinit Statement lock_refund{R"(
    SELECT r.transaction_id, r.status, r.provider_at, r.processor, r.amount_minor
    FROM @.payment_refunds AS r
    WHERE r.id = $1 FOR NO KEY UPDATE)"};
constinit Statement change{R"(
    UPDATE @.payment_refunds AS r
    SET status = $2, processor_refund_id = coalesce(r.processor_refund_id, $3), failure_code = $4,
        response = coalesce($5, r.response), provider_at = greatest(r.provider_at, $6)
    WHERE r.id = $1)"};
constinit Statement read_state{R"(
    SELECT r.status, t.status, t.refunded_minor
    FROM @.payment_refunds AS r JOIN @.payment_transactions AS t ON t.id = r.transaction_id
    WHERE r.id = $1)"};
constinit Statement find_left{R"(
    SELECT t.captured_minor - t.refunded_minor - t.refund_reserved_minor
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};

void contradict(const Uuid &refund, const Uuid &transaction, const char *reported) {
    json::Object object;
    object.add("refund_id", refund).add("transaction_id", transaction).add("reported", reported);
    kit::publish("refund.contradicted", object.text(), to_string(transaction));
}
} // namespace

RefundState report_refund(const Schema &schema, const Uuid &refund, const RefundReport &report) {
    const pg::Rows known = find_transaction.run(schema, {pg::uuid(refund)});
    if (known.empty())
        throw Error(errc::unknown_reference, "refund does not exist", json::Object().add("refund_id", refund).text());
    announce(schema, known.front().uuid(0));
    const pg::Rows found = lock_refund.run(schema, {pg::uuid(refund)});
    const pg::Row row = found.front();
    const Uuid transaction = row.uuid(0);
    const RefundStatus before = parse_refund_status(row.text(1)).value();
    RefundStep step = decide_refund(before, report.outcome);
    const std::optional<Instant> known_at = row.optional_time(2);
    if (report.outcome != Outcome::succeeded && report.occurred_at && known_at && *report.occurred_at < *known_at)
        step = RefundStep::none;
    // Its reservation was given back, and somebody else may have used it since: then a person must look.
    if (step == RefundStep::succeed_late &&
        find_left.run(schema, {pg::uuid(transaction)}).front().int8(0) < row.int8(4)) {
        contradict(refund, transaction, "succeeded");
        step = RefundStep::none;
    }
    const auto to = [&](const char *status) {
        change.run(schema, {pg::uuid(refund), pg::text(status), pg::text_unless_empty(report.processor_refund_id),
                            pg::text_unless_empty(report.failure_code),
                            report.response.empty() ? pg::null(JSONBOID) : pg::jsonb(report.response),
                            pg::timestamptz_or_null(report.occurred_at)});
    };
    switch (step) {
    case RefundStep::none: break;
    case RefundStep::keep: to("processing"); break;
    case RefundStep::succeed:
    case RefundStep::succeed_late: to("succeeded"); break;
    case RefundStep::fail: to("failed"); break;
    case RefundStep::contradict: contradict(refund, transaction, "failed"); break;
    }
    const pg::Rows after = read_state.run(schema, {pg::uuid(refund)});
    const pg::Row now = after.front();
    return {refund, transaction, now.string(0), now.string(1), now.int8(2), step == RefundStep::none};
}

} // namespace usher::payment
