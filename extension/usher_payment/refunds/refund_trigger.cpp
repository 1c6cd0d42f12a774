// The row triggers of payment_refunds and payment_disputes. A refund reserves its amount when it is made, and the
// transaction follows what becomes of it: one UPDATE with a condition, so that no number of writers at once refunds
// more than was captured.
#include "common/json_object.hpp"
#include "usher_payment/card_numbers/refuse_card_numbers.hpp"
#include "usher_payment/ledger/posting.hpp"
#include "usher_payment/payment_kit.hpp"
#include "usher_payment/settlement/payment_facts.hpp"
#include "usher_payment/settlement/settlement.hpp"
#include "usher_payment/settlement/settling.hpp"

namespace usher::payment {

namespace {
enum Column : std::uint8_t {
    id,
    transaction_id,
    amount_minor,
    currency,
    status,
    processor,
    processor_transaction_id,
    provider_key,
    remaining_minor,
    resolved_at,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"transaction_id", UUIDOID},
    ColumnForm{"amount_minor", INT8OID},
    ColumnForm{"currency", TEXTOID},
    ColumnForm{"status", TEXTOID},
    ColumnForm{"processor", TEXTOID},
    ColumnForm{"processor_transaction_id", TEXTOID},
    ColumnForm{"provider_key", TEXTOID},
    ColumnForm{"remaining_minor", INT8OID},
    ColumnForm{"resolved_at", TIMESTAMPTZOID},
};
constinit Columns<forms.size()> columns{forms};

constinit Statement read_payment{R"(
    SELECT t.captured_minor - t.refunded_minor - t.refund_reserved_minor, t.disputed_minor, t.currency, t.processor,
           t.processor_transaction_id, t.captured_minor
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};
constinit Statement reserve{R"(
    UPDATE @.payment_transactions AS t
    SET refund_reserved_minor = t.refund_reserved_minor + $2
    WHERE t.id = $1 AND t.captured_minor - t.refunded_minor - t.refund_reserved_minor >= $2)"};
constinit Statement release{R"(
    UPDATE @.payment_transactions AS t
    SET refund_reserved_minor = t.refund_reserved_minor - $2
    WHERE t.id = $1)"};
constinit Statement give_back{R"(
    UPDATE @.payment_transactions AS t
    SET refund_reserved_minor = t.refund_reserved_minor - $3, refunded_minor = t.refunded_minor + $2,
        status = CASE WHEN t.refunded_minor + $2 = t.captured_minor THEN 'refunded' ELSE t.status END
    WHERE t.id = $1 AND t.captured_minor - t.refunded_minor - t.refund_reserved_minor + $3 >= $2
    RETURNING t.status, t.currency, t.payment_method)"};
// As machines write it of their transitions, with the totals that have changed by it.
constinit Statement describe_change{R"(
    SELECT pg_catalog.jsonb_build_object('relation', pg_catalog.format('%I.%I', n.nspname, c.relname), 'id', r.id,
        'from', $2::text, 'to', r.status, 'action', $3::text, 'reason_code', r.reason_code, 'version', r.version,
        'actor_id', usher.actor_id(), 'transaction_id', r.transaction_id, 'amount_minor', r.amount_minor,
        'currency', r.currency, 'status', r.status, 'processor', r.processor,
        'processor_transaction_id', r.processor_transaction_id, 'provider_key', r.provider_key,
        'reference_type', t.reference_type, 'reference_id', t.reference_id)::text
    FROM @.payment_refunds AS r JOIN @.payment_transactions AS t ON t.id = r.transaction_id
        JOIN pg_catalog.pg_class AS c ON c.oid = r.tableoid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE r.id = $1)"};
// Refunds before their payment: whoever reports one locks them in this order. A dispute that has waited for its payment
// comes with that locked already, so a refund that somebody reports at this moment is left to them.
constinit Statement lock_unsent{R"(
    SELECT r.id, r.amount_minor
    FROM @.payment_refunds AS r
    WHERE r.transaction_id = $1 AND r.status = 'pending'
    ORDER BY r.created_at DESC, r.id DESC FOR NO KEY UPDATE SKIP LOCKED)"};
constinit Statement take_back{"UPDATE @.payment_refunds AS r SET status = 'cancelled' WHERE r.id = $1"};
constinit Statement refund_rest{R"(
    INSERT INTO @.payment_refunds (transaction_id, amount_minor, reason_code, notes, requested_by)
    SELECT r.transaction_id, $2, r.reason_code, r.notes, r.requested_by
    FROM @.payment_refunds AS r
    WHERE r.id = $1)"};
constinit Statement refund_all{R"(
    INSERT INTO @.payment_refunds (transaction_id, reason_code)
    VALUES ($1, $2))"};
constinit Statement add_dispute{R"(
    UPDATE @.payment_transactions AS t
    SET disputed_minor = t.disputed_minor + $2
    WHERE t.id = $1
    RETURNING t.currency, t.payment_method, t.disputed_minor + t.refunded_minor > t.captured_minor, t.customer_id,
              t.reference_type, t.reference_id,
              t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor,
              t.refund_on_success AND t.status = 'completed', coalesce(t.close_reason, 'late_success'))"};

[[noreturn]] void refuse(const Uuid &transaction, std::int64_t wanted, std::int64_t left, const char *rule) {
    throw Error(errc::over_refund, "more would be refunded than is left of the payment",
                json::Object()
                    .add("transaction_id", transaction)
                    .add("amount_minor", wanted)
                    .add("remaining_minor", left)
                    .add("rule", rule)
                    .text());
}

HeapTuple check_insert(const Schema &schema, const TableRow &row) {
    const Uuid transaction = row.uuid(transaction_id);
    // What the processor has done already is noted as on its way, by the functions that hear of it.
    const std::string_view first = row.text(status);
    if (first != "pending" && !(first == "processing" && Settling::runs_for(transaction)))
        throw Error(errc::illegal_transition, "a new refund is pending", json::Object().add("to", first).text());
    const pg::Rows found = read_payment.run(schema, {pg::uuid(transaction)});
    if (found.empty())
        throw Error(errc::unknown_reference, "payment does not exist",
                    json::Object().add("transaction_id", transaction).text());
    const pg::Row payment = found.front();
    // What a bank has taken back is not paid out a second time.
    const std::int64_t disputed = payment.int8(1), left = std::max<std::int64_t>(0, payment.int8(0) - disputed);
    const std::int64_t amount = row.is_null(amount_minor) ? left : row.int8(amount_minor);
    if (row.is_null(amount_minor) && left == 0) refuse(transaction, 0, 0, disputed > 0 ? "disputed" : "remaining");
    require_payable(amount, "amount_minor");
    if (!row.is_null(currency) && row.text(currency) != payment.text(2))
        throw Error(errc::currency_mismatch, "a refund is in the currency of its payment",
                    json::Object().add("transaction_id", transaction).add("currency", payment.text(2)).text());
    if (amount > left) refuse(transaction, amount, left, amount <= payment.int8(0) ? "disputed" : "remaining");
    std::string key(row.text(provider_key));
    if (key.empty()) key = "usher-" + to_string(row.uuid(id));
    return row.with({{amount_minor, pg::int8(amount)},
                     {currency, payment.param(2)},
                     {processor, payment.param(3)},
                     {processor_transaction_id, payment.param(4)},
                     {provider_key, pg::text(key)},
                     {remaining_minor, pg::int8(left - amount)}});
}

HeapTuple check_update(const TableRow &before, const TableRow &row) {
    for (const Column each : {id, transaction_id, amount_minor, currency, processor, provider_key})
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "what a refund is for cannot change",
                        json::Object().add("refund_id", before.uuid(id)).text());
    if (!row.differs(before, status)) return row.tuple();
    const auto to = parse_refund_status(row.text(status));
    if (to == RefundStatus::pending || to == RefundStatus::processing) return row.tuple();
    return row.with({{resolved_at, pg::timestamptz(pg::clock_time())}});
}

void succeed(const Schema &schema, const TableRow &row, bool was_reserved) {
    const Uuid transaction = row.uuid(transaction_id);
    const std::int64_t amount = row.int8(amount_minor);
    pg::Rows changed;
    {
        const Settling now(transaction);
        changed = give_back.run(schema, {pg::uuid(transaction), pg::int8(amount), pg::int8(was_reserved ? amount : 0)});
    }
    if (changed.empty()) refuse(transaction, amount, 0, "remaining");
    const pg::Row payment = changed.front();
    post(schema, {"refund", transaction, "refunds", money_account(row.text(processor), payment.text(2)), amount,
                  payment.text(1)});
    json::Object about;
    about.add("id", transaction).add("refund_id", row.uuid(id)).add("amount_minor", amount);
    const std::string payload = payment_facts(schema, transaction, about.text());
    if (payment.text(0) == "refunded")
        kit::publish("payment.refunded", payload, to_string(transaction));
    else
        kit::publish("payment.partially_refunded", payload, to_string(transaction));
}

/// Money has been claimed, or is free again: who settles by sums hears of both. What has gone back for good is told
/// with the payment.
void tell(const Schema &schema, const TableRow &row, std::string_view from, std::string_view to) {
    const char *event = nullptr, *action = nullptr;
    if (to == "pending") event = "refund.requested", action = "request";
    if (to == "failed") event = "refund.failed", action = "fail";
    if (to == "cancelled") event = "refund.cancelled", action = "cancel";
    if (event == nullptr) return;
    const Uuid refund = row.uuid(id);
    const pg::Rows described =
        describe_change.run(schema, {pg::uuid(refund), pg::text_unless_empty(from), pg::text(action)});
    kit::publish(event, join(described.front().string(0), reference_totals(schema, row.uuid(transaction_id))),
                 to_string(refund));
}

enum DisputeColumn : std::uint8_t {
    dispute_id,
    dispute_transaction,
    dispute_processor,
    dispute_amount,
    dispute_status
};
constexpr std::array dispute_forms{ColumnForm{"id", UUIDOID}, ColumnForm{"transaction_id", UUIDOID},
                                   ColumnForm{"processor", TEXTOID}, ColumnForm{"amount_minor", INT8OID},
                                   ColumnForm{"status", TEXTOID}};
constinit Columns<dispute_forms.size()> dispute_columns{dispute_forms};

/// What the bank has, or holds: nothing once it has decided for us.
std::int64_t taken(const TableRow &row) { return row.text(dispute_status) == "won" ? 0 : row.int8(dispute_amount); }

/// What can be refunded at this moment: whoever has heard that refunds were cancelled may have asked for some of it.
std::int64_t left_of(const Schema &schema, const Uuid &transaction) {
    const pg::Rows found = read_payment.run(schema, {pg::uuid(transaction)});
    return found.front().int8(0) - found.front().int8(1);
}
} // namespace

} // namespace usher::payment

/// _check_refund(): BEFORE INSERT OR UPDATE on payment_refunds, for each row
USHER_FUNCTION(usher_payment_check_refund) {
    using namespace usher;
    using namespace usher::payment;
    const RowTrigger trigger(fcinfo, true, "payment_refunds");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    refuse_card_numbers(trigger.after(), relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (trigger.is_update) return PointerGetDatum(check_update(TableRow(trigger.before(), relation, numbers), row));
    return PointerGetDatum(check_insert(trigger.schema, row));
}

/// _follow_refund(): AFTER INSERT OR UPDATE on payment_refunds, for each row
USHER_FUNCTION(usher_payment_follow_refund) {
    using namespace usher;
    using namespace usher::payment;
    const RowTrigger trigger(fcinfo, false, "payment_refunds");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    const Uuid transaction = row.uuid(transaction_id);
    const pg::Param amount = pg::int8(row.int8(amount_minor));
    // Scripts of before leave these events to the machine.
    const bool tells = trigger.data->tg_trigger->tgnargs > 0;
    const auto is_open = [](std::optional<RefundStatus> status) {
        return status == RefundStatus::pending || status == RefundStatus::processing;
    };
    if (!trigger.is_update) {
        {
            const Settling now(transaction);
            if (reserve.run(trigger.schema, {pg::uuid(transaction), amount}).processed() == 0)
                refuse(transaction, row.int8(amount_minor), 0, "remaining");
        }
        if (tells) tell(trigger.schema, row, "", row.text(status));
        return Datum{0};
    }
    const TableRow before(trigger.before(), relation, numbers);
    const auto from = parse_refund_status(before.text(status)), to = parse_refund_status(row.text(status));
    if (from == to) return Datum{0};
    if (to == RefundStatus::succeeded) {
        succeed(trigger.schema, row, is_open(from));
    } else if (is_open(from) && !is_open(to)) {
        {
            const Settling now(transaction);
            release.run(trigger.schema, {pg::uuid(transaction), amount});
        }
        if (tells) tell(trigger.schema, row, before.text(status), row.text(status));
    }
    return Datum{0};
}

/// _follow_dispute(): AFTER INSERT OR UPDATE on payment_disputes, for each row
USHER_FUNCTION(usher_payment_follow_dispute) {
    using namespace usher;
    using namespace usher::payment;
    const RowTrigger trigger(fcinfo, false, "payment_disputes");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = dispute_columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    const TableRow before(trigger.before(), relation, numbers);
    if (trigger.is_update && !row.differs(before, dispute_status) && !row.differs(before, dispute_amount))
        return Datum{0};
    const Uuid transaction = row.uuid(dispute_transaction);
    const std::int64_t delta = taken(row) - (trigger.is_update ? taken(before) : 0);
    pg::Rows changed, unsent;
    if (delta > 0) unsent = lock_unsent.run(trigger.schema, {pg::uuid(transaction)});
    {
        const Settling now(transaction);
        changed = add_dispute.run(trigger.schema, {pg::uuid(transaction), pg::int8(delta)});
    }
    if (changed.empty()) return Datum{0}; // the foreign key refuses
    const pg::Row payment = changed.front();
    post(trigger.schema, {"dispute", transaction, "disputes",
                          money_account(row.text(dispute_processor), payment.text(1)), delta, payment.text(0)});
    // What the bank has is not paid out again: refunds give way, and what it has not taken of the last one that does
    // goes back all the same. What is to go back anyway, goes back when the bank returns it. All of that comes first:
    // whoever hears of the dispute and proposes what is paid too much for refund finds it on its way.
    std::int64_t left = payment.int8(6);
    std::size_t taken_back = 0;
    for (; taken_back < unsent.size() && left < 0; ++taken_back) {
        take_back.run(trigger.schema, {unsent[taken_back].param(0)});
        left += unsent[taken_back].int8(1);
    }
    if (taken_back > 0 && left > 0) {
        left = std::min(left, left_of(trigger.schema, transaction));
        if (left > 0) refund_rest.run(trigger.schema, {unsent[taken_back - 1].param(0), pg::int8(left)});
    }
    if (delta < 0 && left > 0 && payment.boolean(7))
        refund_all.run(trigger.schema, {pg::uuid(transaction), payment.param(8)});
    const std::string_view now_status = row.text(dispute_status);
    json::Object object;
    object.add("transaction_id", transaction).add("dispute_id", row.uuid(dispute_id)).add("status", now_status);
    object.add("amount_minor", row.int8(dispute_amount)).add("currency", payment.text(0));
    object.add("exceeds_captured", payment.boolean(2));
    if (const auto customer = payment.optional_uuid(3)) object.add("customer_id", *customer);
    if (!payment.is_null(5)) object.add("reference_type", payment.text(4)).add("reference_id", payment.uuid(5));
    kit::publish(now_status == "open" ? "payment.disputed" : "payment.dispute_closed",
                 join(object.text(), reference_totals(trigger.schema, transaction)), to_string(transaction));
    return Datum{0};
}
