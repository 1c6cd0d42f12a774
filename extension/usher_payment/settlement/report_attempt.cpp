#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"
#include "usher_payment/settlement/settling.hpp"
#include "usher_payment/webhooks/ingest.hpp"

namespace usher::payment {

namespace {
constinit Statement find_attempt{R"(
    SELECT a.transaction_id, t.reference_type, t.reference_id
    FROM @.payment_attempts AS a JOIN @.payment_transactions AS t ON t.id = a.transaction_id
    WHERE a.id = $1)"};
// The attempt, then the transaction: two statements, so that the order is this one whatever the plan.
constinit Statement lock_attempt{R"(
    SELECT a.outcome, a.processor, a.processor_transaction_id, a.provider_at, a.provider_key
    FROM @.payment_attempts AS a
    WHERE a.id = $1 FOR NO KEY UPDATE)"};
constinit Statement find_reference{
    "SELECT t.reference_type, t.reference_id FROM @.payment_transactions AS t WHERE t.id = $1"};
constinit Statement lock_payment{R"(
    SELECT t.status, t.amount_minor, t.captured_minor, t.version
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};
constinit Statement find_same_id{R"(
    SELECT a.id
    FROM @.payment_attempts AS a
    WHERE a.processor = $1 AND a.processor_transaction_id = $2 AND a.id <> $3 AND a.outcome <> 'superseded')"};
constinit Statement change{R"(
    UPDATE @.payment_attempts AS a
    SET outcome = $2, processor_transaction_id = coalesce($3, a.processor_transaction_id), captured_minor = $4,
        fee_minor = coalesce($5, a.fee_minor), failure_code = $6, response = coalesce($7, a.response),
        provider_at = greatest(a.provider_at, $8)
    WHERE a.id = $1)"};
constinit Statement note_fee{R"(
    UPDATE @.payment_attempts AS a
    SET fee_minor = $2
    WHERE a.id = $1 AND a.outcome = 'succeeded' AND a.fee_minor IS NULL)"};
constinit Statement note_id{R"(
    UPDATE @.payment_attempts AS a
    SET processor_transaction_id = $2
    WHERE a.id = $1 AND a.processor_transaction_id IS NULL)"};
constinit Statement note_surplus_id{R"(
    UPDATE @.payment_attempts AS a
    SET processor_transaction_id = $2
    WHERE a.provider_key = $1 AND a.processor_transaction_id IS NULL)"};
constinit Statement copy_payment{R"(
    INSERT INTO @.payment_transactions (id, customer_id, user_id, location_id, reference_type, reference_id, purpose,
                                        amount_minor, currency, payment_method, refund_on_success, close_reason)
    SELECT $2, t.customer_id, t.user_id, t.location_id, t.reference_type, t.reference_id, 'duplicate', $3, t.currency,
           t.payment_method, true, 'paid_already'
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};
constinit Statement copy_attempt{R"(
    INSERT INTO @.payment_attempts (transaction_id, attempt_no, processor, provider_key, outcome,
                                    processor_transaction_id, captured_minor, fee_minor, resolved_at)
    VALUES ($1, 1, $2, $3, 'succeeded', $4, $5, $6, pg_catalog.clock_timestamp()))"};

std::int64_t captured_of(const AttemptReport &report, std::int64_t amount) {
    const std::int64_t captured = report.captured_minor.value_or(amount);
    if (captured < 1 || captured > amount)
        throw Error(errc::invalid_argument, "captured_minor must be between 1 and the amount of the payment",
                    json::Object()
                        .add("argument", "captured_minor")
                        .add("captured_minor", captured)
                        .add("amount_minor", amount)
                        .text());
    return captured;
}

/// The key of the attempt that a second charge is moved to.
std::string surplus_key(std::string_view key) { return std::string(key) + ":surplus"; }

class Change {
public:
    Change(const Schema &schema, const Uuid &attempt, const AttemptReport &report)
        : schema_(schema), attempt_(attempt), report_(report) {}

    void to(Outcome outcome, std::optional<std::int64_t> captured) {
        change.run(schema_, {pg::uuid(attempt_), pg::text(name_of(outcome)),
                             pg::text_unless_empty(report_.processor_transaction_id),
                             captured ? pg::int8(*captured) : pg::null(INT8OID),
                             report_.fee_minor ? pg::int8(*report_.fee_minor) : pg::null(INT8OID),
                             pg::text_unless_empty(report_.failure_code),
                             report_.response.empty() ? pg::null(JSONBOID) : pg::jsonb(report_.response),
                             pg::timestamptz_or_null(report_.occurred_at)});
    }

    /// Charged a second time: the surplus is a payment of its own, which is given back at once.
    void give_back(const Uuid &transaction, std::int64_t captured, std::string_view processor, std::string_view key) {
        to(Outcome::superseded, captured);
        const Uuid copy = pg::new_uuid();
        copy_payment.run(schema_, {pg::uuid(transaction), pg::uuid(copy), pg::int8(captured)});
        {
            const Settling now(copy);
            copy_attempt.run(schema_, {pg::uuid(copy), pg::text(processor), pg::text(surplus_key(key)),
                                       pg::text_unless_empty(report_.processor_transaction_id), pg::int8(captured),
                                       report_.fee_minor ? pg::int8(*report_.fee_minor) : pg::null(INT8OID)});
        }
        json::Object object;
        object.add("transaction_id", transaction).add("attempt_id", attempt_).add("duplicate_id", copy);
        object.add("captured_minor", captured);
        kit::publish("payment.duplicate_charge", object.text(), to_string(transaction));
    }

private:
    const Schema &schema_;
    const Uuid &attempt_;
    const AttemptReport &report_;
};

/// The id of the processor is one attempt's and no other's.
void check_id(const Schema &schema, const Uuid &attempt, const pg::Row &row, const std::string &given) {
    if (given.empty() || (!row.is_null(2) && row.text(2) == given)) return;
    const bool is_other = !row.is_null(2);
    if (!is_other && find_same_id.run(schema, {row.param(1), pg::text(given), pg::uuid(attempt)}).empty()) return;
    throw Error(errc::duplicate_processor_id,
                is_other ? "attempt has another id of the processor" : "another attempt has this id of the processor",
                json::Object().add("attempt_id", attempt).add("processor", row.text(1)).text());
}
} // namespace

void announce(const std::optional<std::string> &reference_type, const std::optional<Uuid> &reference,
              const Uuid &transaction) {
    if ((reference_type != "booking" && reference_type != "order") || !reference) return;
    json::Object object;
    object.add("reference_type", *reference_type).add("reference_id", *reference).add("transaction_id", transaction);
    kit::publish("payment.settling", object.text());
}

void announce(const Schema &schema, const Uuid &transaction) {
    const pg::Rows found = find_reference.run(schema, {pg::uuid(transaction)});
    if (!found.empty()) announce(found.front().optional_text(0), found.front().optional_uuid(1), transaction);
}

PaymentState report_attempt(const Schema &schema, const Uuid &attempt, const AttemptReport &report) {
    const pg::Rows found = find_attempt.run(schema, {pg::uuid(attempt)});
    if (found.empty())
        throw Error(errc::unknown_reference, "attempt does not exist",
                    json::Object().add("attempt_id", attempt).text());
    const Uuid transaction = found.front().uuid(0);
    announce(found.front().optional_text(1), found.front().optional_uuid(2), transaction);
    const pg::Rows attempts = lock_attempt.run(schema, {pg::uuid(attempt)});
    const pg::Rows payments = lock_payment.run(schema, {pg::uuid(transaction)});
    const pg::Row row = attempts.front(), payment = payments.front();
    check_id(schema, attempt, row, report.processor_transaction_id);

    const Outcome before = parse_outcome(row.text(0)).value();
    Step step = decide(before, parse_status(payment.text(0)).value(), report.outcome);
    const std::optional<Instant> known_at = row.optional_time(3);
    if (report.outcome != Outcome::succeeded && report.occurred_at && known_at && *report.occurred_at < *known_at)
        step = Step::none;
    const std::int64_t amount = payment.int8(1);
    const std::string &theirs = report.processor_transaction_id;
    const bool is_new_id = !theirs.empty() && row.is_null(2);
    Change change_of(schema, attempt, report);
    switch (step) {
    case Step::none:
        if (report.fee_minor) note_fee.run(schema, {pg::uuid(attempt), pg::int8(*report.fee_minor)});
        if (is_new_id) note_id.run(schema, {pg::uuid(attempt), pg::text(theirs)});
        if (is_new_id && before == Outcome::superseded)
            note_surplus_id.run(schema, {pg::text(surplus_key(row.text(4))), pg::text(theirs)});
        break;
    case Step::wait: change_of.to(Outcome::unknown, std::nullopt); break;
    case Step::decline: change_of.to(Outcome::declined, std::nullopt); break;
    case Step::capture:
    case Step::capture_late: change_of.to(Outcome::succeeded, captured_of(report, amount)); break;
    case Step::give_back:
        change_of.give_back(transaction, captured_of(report, amount), row.text(1), row.text(4));
        break;
    }
    // What came about this id before: its attempt can be found by now, or its payment is captured.
    if (is_new_id || step == Step::capture || step == Step::capture_late || step == Step::give_back)
        apply_unmatched(schema, row.text(1), Named::transaction,
                        theirs.empty() ? row.optional_text(2).value_or("") : theirs);
    const pg::Rows after = lock_payment.run(schema, {pg::uuid(transaction)});
    const pg::Row now = after.front();
    return {transaction, now.string(0), now.int8(2), now.int4(3), step == Step::none && !is_new_id};
}

} // namespace usher::payment
