// The row triggers of payment_attempts. BEFORE: is the change one that an attempt can make? AFTER: the transaction
// follows, with ledger and events. They run for every writer.
#include "common/json_object.hpp"
#include "usher_payment/card_numbers/refuse_card_numbers.hpp"
#include "usher_payment/ledger/posting.hpp"
#include "usher_payment/payment_kit.hpp"
#include "usher_payment/settlement/payment_facts.hpp"
#include "usher_payment/settlement/settlement.hpp"
#include "usher_payment/settlement/settling.hpp"
#include "usher_payment/transactions/ask_payment.hpp"

namespace usher::payment {

namespace {
enum Column : std::uint8_t {
    id,
    transaction_id,
    attempt_no,
    processor,
    provider_key,
    saved_method_id,
    outcome,
    processor_transaction_id,
    captured_minor,
    fee_minor,
    failure_code,
    resolved_at,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"transaction_id", UUIDOID},
    ColumnForm{"attempt_no", INT4OID},
    ColumnForm{"processor", TEXTOID},
    ColumnForm{"provider_key", TEXTOID},
    ColumnForm{"saved_method_id", UUIDOID},
    ColumnForm{"outcome", TEXTOID},
    ColumnForm{"processor_transaction_id", TEXTOID},
    ColumnForm{"captured_minor", INT8OID},
    ColumnForm{"fee_minor", INT8OID},
    ColumnForm{"failure_code", TEXTOID},
    ColumnForm{"resolved_at", TIMESTAMPTZOID},
};
constinit Columns<forms.size()> columns{forms};

#define FOR_WORKER " t.amount_minor, t.currency, t.exponent::integer, t.payment_method, t.purpose, t.customer_id"
constinit Statement begin{"UPDATE @.payment_transactions AS t"
                          " SET status = 'processing', attempt_count = $2, processor = $3, failure_code = NULL"
                          " WHERE t.id = $1 AND t.closed_at IS NULL RETURNING" FOR_WORKER};
constinit Statement read_for_worker{"SELECT" FOR_WORKER " FROM @.payment_transactions AS t WHERE t.id = $1"};
#undef FOR_WORKER
// What was given up while the processor was at it is closed now, and so is what another sum is due for by now.
constinit Statement fail{R"(
    UPDATE @.payment_transactions AS t
    SET status = 'failed', failure_code = $2, refund_on_success = t.refund_on_success OR $3,
        closed_at = CASE WHEN t.refund_on_success OR $3 THEN clock_timestamp() END,
        close_reason = CASE WHEN $3 THEN t.reference_type || '_changed' ELSE t.close_reason END
    WHERE t.id = $1 AND t.status = 'processing'
        AND NOT EXISTS (SELECT FROM @.payment_attempts AS a
                        WHERE a.transaction_id = t.id AND a.outcome IN ('requested', 'unknown'))
    RETURNING t.closed_at IS NOT NULL, t.close_reason)"};
// What is left of what a booking or an order has asked for. What else is paid for them, they settle.
constinit Statement capture{R"(
    UPDATE @.payment_transactions AS t
    SET status = 'completed', captured_minor = $2, processor = $3, processor_transaction_id = $4,
        fee_minor = t.fee_minor + $5, completed_at = clock_timestamp(), failure_code = NULL
    WHERE t.id = $1 AND t.status IN ('processing', 'failed')
    RETURNING t.currency, t.payment_method,
        CASE WHEN t.reference_type IN ('booking', 'order') AND t.exclusive
             THEN greatest(coalesce((pg_catalog.to_jsonb(t) ->> 'replacement_minor')::bigint, t.amount_minor)
                           + t.balance_minor - t.captured_minor, 0)
             ELSE t.balance_minor END,
        t.refund_on_success, t.close_reason)"};
constinit Statement add_fee{R"(
    UPDATE @.payment_transactions AS t
    SET fee_minor = t.fee_minor + $2
    WHERE t.id = $1
    RETURNING t.currency, t.payment_method)"};
// For whom and what another payment is asked for; what is due by now, when what it is for has changed meanwhile: at
// once, and after that. (Scripts of before know no such column, and are served all the same.)
constinit Statement read_asked{R"(
    SELECT t.customer_id, t.user_id, t.location_id, t.reference_type, t.reference_id, t.purpose, t.currency,
           t.payment_method,
           CASE WHEN t.exclusive THEN (pg_catalog.to_jsonb(t) ->> 'replacement_minor')::bigint END, t.balance_minor
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};
constinit Statement name_payment{R"(
    UPDATE @.payment_transactions AS t
    SET processor_transaction_id = $2
    WHERE t.id = $1 AND t.processor_transaction_id IS NULL)"};
constinit Statement refund_all{R"(
    INSERT INTO @.payment_refunds (transaction_id, reason_code)
    VALUES ($1, $2))"};

std::string attempt_payload(const TableRow &row) {
    json::Object object;
    object.add("attempt_id", row.uuid(id)).add("transaction_id", row.uuid(transaction_id));
    object.add("attempt_no", std::int64_t{row.int4(attempt_no)}).add("processor", row.text(processor));
    return object.text();
}

void publish(std::string_view event, const std::string &payload, const Uuid &transaction) {
    kit::publish(event, payload, to_string(transaction));
}

void ask_worker(const TableRow &row, const pg::Row &payment) {
    const Uuid transaction = row.uuid(transaction_id);
    json::Object object;
    object.add("provider_key", row.text(provider_key)).add("amount_minor", payment.int8(0));
    object.add("currency", payment.text(1)).add("exponent", std::int64_t{payment.int4(2)});
    object.add("payment_method", payment.text(3)).add("purpose", payment.text(4));
    object.add("customer_id", payment.uuid(5));
    if (const auto saved = row.optional_uuid(saved_method_id)) object.add("saved_method_id", *saved);
    publish("payment.attempt_requested", join(attempt_payload(row), object.text()), transaction);
}

void request(const Schema &schema, const TableRow &row, bool is_for_worker) {
    const Uuid transaction = row.uuid(transaction_id);
    pg::Rows changed;
    {
        const Settling now(transaction);
        changed =
            begin.run(schema, {pg::uuid(transaction), pg::int4(row.int4(attempt_no)), pg::text(row.text(processor))});
    }
    if (changed.empty())
        throw Error(errc::payment_closed, "payment was given up",
                    json::Object().add("transaction_id", transaction).text());
    if (is_for_worker) ask_worker(row, changed.front());
}

Asked asked_like(const pg::Row &payment, const pg::Param &purpose_of, const pg::Param &amount_minor,
                 const pg::Param &balance_minor) {
    return {payment.param(0), payment.param(1), payment.param(2), payment.param(3), payment.param(4), purpose_of,
            amount_minor,     payment.param(6), payment.param(7), balance_minor,    pg::null(UUIDOID)};
}

/// What takes the place of a payment: a deposit, when something is to be paid after it, and else what it was.
pg::Param purpose_instead(const pg::Row &payment) {
    if (payment.int8(9) > 0) return pg::text("deposit");
    return payment.text(5) == "deposit" ? pg::text("balance") : payment.param(5);
}

void decline(const Schema &schema, const TableRow &row) {
    const Uuid transaction = row.uuid(transaction_id);
    const pg::Rows before = read_asked.run(schema, {pg::uuid(transaction)});
    const pg::Row asked = before.front();
    const bool is_replaced = !asked.is_null(8);
    pg::Rows changed;
    {
        const Settling now(transaction);
        changed = fail.run(
            schema, {pg::uuid(transaction), pg::text_unless_empty(row.text(failure_code)), pg::boolean(is_replaced)});
    }
    if (changed.empty() || !changed.front().boolean(0)) return;
    json::Object object;
    object.add("transaction_id", transaction)
        .add("reason_code", changed.front().optional_text(1).value_or("cancelled"));
    publish("payment.cancelled", object.text(), transaction);
    if (is_replaced && asked.int8(8) > 0)
        ask_payment(schema, asked_like(asked, purpose_instead(asked), asked.param(8), asked.param(9)));
}

void post_fee(const Schema &schema, const TableRow &row, std::int64_t fee, std::string_view currency,
              std::string_view method) {
    post(schema, {"fee", row.uuid(transaction_id), "fees", money_account(row.text(processor), method), fee, currency});
}

void succeed(const Schema &schema, const TableRow &row, bool is_late) {
    const Uuid transaction = row.uuid(transaction_id);
    const std::int64_t amount = row.int8(captured_minor), fee = row.int8(fee_minor);
    pg::Rows changed;
    {
        const Settling now(transaction);
        changed = capture.run(schema, {pg::uuid(transaction), pg::int8(amount), pg::text(row.text(processor)),
                                       pg::text_unless_empty(row.text(processor_transaction_id)), pg::int8(fee)});
    }
    if (changed.empty())
        throw Error(errc::illegal_transition, "payment is completed already",
                    json::Object().add("transaction_id", transaction).add("attempt_id", row.uuid(id)).text());
    const pg::Row payment = changed.front();
    const std::string currency = payment.string(0), method = payment.string(1);
    post(schema, {"capture", transaction, money_account(row.text(processor), method), "sales", amount, currency});
    post_fee(schema, row, fee, currency, method);
    if (payment.int8(2) > 0 && !payment.boolean(3)) { // less came in than was asked for, or only the deposit was
        const pg::Rows rows = read_asked.run(schema, {pg::uuid(transaction)});
        ask_payment(schema, asked_like(rows.front(), pg::text("balance"), payment.param(2), pg::int8(0)));
    }
    if (payment.boolean(3)) {
        const std::string reason = payment.optional_text(4).value_or("late_success");
        refund_all.run(schema, {pg::uuid(transaction), pg::text(reason)});
    }
    const std::string payload =
        payment_facts(schema, transaction, is_late ? R"({"is_late":true})" : R"({"is_late":false})");
    if (is_late) publish("payment.late_success", payload, transaction);
    publish("payment.completed", payload, transaction);
}

[[noreturn]] void refuse(const TableRow &row, std::string_view from, std::string_view to) {
    throw Error(errc::illegal_transition,
                "outcome of an attempt cannot change from " + json::quote(from) + " to " + json::quote(to),
                json::Object().add("attempt_id", row.uuid(id)).add("from", from).add("to", to).text());
}

HeapTuple check_update(const TableRow &before, const TableRow &row) {
    for (const Column each : {id, transaction_id, attempt_no, processor, provider_key})
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "what an attempt is for cannot change",
                        json::Object().add("attempt_id", before.uuid(id)).text());
    const std::string_view from = before.text(outcome), to = row.text(outcome);
    const auto parsed_from = parse_outcome(from), parsed_to = parse_outcome(to);
    if (!parsed_from || !parsed_to || !may_follow(*parsed_from, *parsed_to)) refuse(row, from, to);
    const bool has_succeeded = *parsed_from == Outcome::succeeded || *parsed_from == Outcome::superseded;
    if (has_succeeded && row.differs(before, captured_minor))
        throw Error(errc::illegal_transition, "what an attempt has captured cannot change",
                    json::Object().add("attempt_id", before.uuid(id)).text());
    if (from == to || is_live(*parsed_to)) return row.tuple();
    return row.with({{resolved_at, pg::timestamptz(pg::clock_time())}});
}
} // namespace

} // namespace usher::payment

/// _check_attempt(): BEFORE INSERT OR UPDATE on payment_attempts, for each row
USHER_FUNCTION(usher_payment_check_attempt) {
    using namespace usher;
    using namespace usher::payment;
    const RowTrigger trigger(fcinfo, true, "payment_attempts");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    refuse_card_numbers(trigger.after(), relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (trigger.is_update) return PointerGetDatum(check_update(TableRow(trigger.before(), relation, numbers), row));
    // What people take themselves has succeeded when it is recorded, and only the functions for that record it.
    const std::string_view first = row.text(outcome);
    if (first != "requested" && !(first == "succeeded" && Settling::runs_for(row.uuid(transaction_id))))
        refuse(row, "", first);
    return PointerGetDatum(row.tuple());
}

/// _follow_attempt(): AFTER INSERT OR UPDATE on payment_attempts, for each row
USHER_FUNCTION(usher_payment_follow_attempt) {
    using namespace usher;
    using namespace usher::payment;
    const RowTrigger trigger(fcinfo, false, "payment_attempts");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    const Schema &schema = trigger.schema;
    const std::optional<Outcome> to = parse_outcome(row.text(outcome));
    if (!trigger.is_update) {
        request(schema, row, to == Outcome::requested);
        if (to == Outcome::succeeded) succeed(schema, row, false);
        return Datum{0};
    }
    const TableRow before(trigger.before(), relation, numbers);
    const std::optional<Outcome> from = parse_outcome(before.text(outcome));
    if (from == to) {
        if (to != Outcome::succeeded) return Datum{0};
        const Uuid transaction = row.uuid(transaction_id);
        const Settling now(transaction);
        if (before.is_null(processor_transaction_id) && !row.is_null(processor_transaction_id))
            name_payment.run(schema, {pg::uuid(transaction), pg::text(row.text(processor_transaction_id))});
        const std::int64_t fee = row.int8(fee_minor) - before.int8(fee_minor);
        if (fee == 0) return Datum{0};
        const pg::Rows changed = add_fee.run(schema, {pg::uuid(transaction), pg::int8(fee)});
        post_fee(schema, row, fee, changed.front().string(0), changed.front().string(1));
        return Datum{0};
    }
    if (to == Outcome::requested) // once more, with the same key
        ask_worker(row, read_for_worker.run(schema, {pg::uuid(row.uuid(transaction_id))}).front());
    if (to == Outcome::declined) decline(schema, row);
    if (to == Outcome::unknown) publish("payment.outcome_unknown", attempt_payload(row), row.uuid(transaction_id));
    if (to == Outcome::succeeded) succeed(schema, row, from == Outcome::declined);
    return Datum{0};
}
