// The row trigger of payment_transactions. A new row is pending and nothing has been paid; later its status and amounts
// follow from attempts, refunds and disputes. By hand it can only be given up. It runs for every writer.
#include "common/json_object.hpp"
#include "usher_payment/amounts/amounts.hpp"
#include "usher_payment/card_numbers/refuse_card_numbers.hpp"
#include "usher_payment/settlement/settling.hpp"

namespace usher::payment {

namespace {
enum Column : std::uint8_t {
    id,
    customer_id,
    reference_type,
    reference_id,
    purpose,
    amount_minor,
    currency,
    exponent,
    created_at,
    idempotency_scope,
    idempotency_key,
    status,
    captured_minor,
    refund_reserved_minor,
    refunded_minor,
    disputed_minor,
    fee_minor,
    processor_transaction_id,
    attempt_count,
    completed_at,
    closed_at,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"customer_id", UUIDOID},
    ColumnForm{"reference_type", TEXTOID},
    ColumnForm{"reference_id", UUIDOID},
    ColumnForm{"purpose", TEXTOID},
    ColumnForm{"amount_minor", INT8OID},
    ColumnForm{"currency", TEXTOID},
    ColumnForm{"exponent", INT2OID},
    ColumnForm{"created_at", TIMESTAMPTZOID},
    ColumnForm{"idempotency_scope", TEXTOID},
    ColumnForm{"idempotency_key", TEXTOID},
    ColumnForm{"status", TEXTOID},
    ColumnForm{"captured_minor", INT8OID},
    ColumnForm{"refund_reserved_minor", INT8OID},
    ColumnForm{"refunded_minor", INT8OID},
    ColumnForm{"disputed_minor", INT8OID},
    ColumnForm{"fee_minor", INT8OID},
    ColumnForm{"processor_transaction_id", TEXTOID},
    ColumnForm{"attempt_count", INT4OID},
    ColumnForm{"completed_at", TIMESTAMPTZOID},
    ColumnForm{"closed_at", TIMESTAMPTZOID},
};
constinit Columns<forms.size()> columns{forms};

constexpr Column fixed[] = {id,       customer_id, reference_type, reference_id,      purpose,        amount_minor,
                            currency, exponent,    created_at,     idempotency_scope, idempotency_key};
constexpr Column settled[] = {captured_minor, refund_reserved_minor,    refunded_minor, disputed_minor,
                              fee_minor,      processor_transaction_id, attempt_count,  completed_at};

[[noreturn]] void refuse_by_hand(const TableRow &row, const char *message) {
    throw Error(errc::not_permitted, message,
                json::Object().add("transaction_id", row.uuid(id)).add("rule", "settlement").text(),
                "Record the result of an attempt or of a refund: the payment follows from it.");
}

HeapTuple check_insert(const TableRow &row) {
    if (row.is_null(amount_minor))
        throw Error(errc::invalid_argument, "amount_minor is needed", R"({"argument":"amount_minor"})");
    require_payable(row.int8(amount_minor), "amount_minor");
    const int places = require_currency(row.text(currency));
    for (const Column each : settled)
        if (!row.is_null(each) && each != processor_transaction_id && each != completed_at && each != attempt_count &&
            row.int8(each) != 0)
            refuse_by_hand(row, "a new payment has been neither captured nor refunded");
    if (!row.is_null(processor_transaction_id) || !row.is_null(completed_at) || !row.is_null(closed_at))
        refuse_by_hand(row, "a new payment has been neither captured nor refunded");
    if (row.is_null(exponent))
        return row.with({{exponent, pg::datum(INT2OID, Int16GetDatum(static_cast<std::int16_t>(places)))}});
    return row.tuple();
}

/// Given up by hand: before anything was paid, once, and nothing else is changed.
bool is_closing(const TableRow &before, const TableRow &row) {
    const std::string_view from = before.text(status);
    return (from == "pending" || from == "failed") && row.text(status) == "failed" && before.is_null(closed_at) &&
           !row.is_null(closed_at);
}

void check_update(const TableRow &before, const TableRow &row) {
    for (const Column each : fixed)
        if (row.differs(before, each))
            throw Error(errc::invalid_argument, "who pays what for what cannot change",
                        json::Object().add("transaction_id", before.uuid(id)).text());
    if (Settling::runs_for(before.uuid(id))) return;
    for (const Column each : settled)
        if (row.differs(before, each)) refuse_by_hand(before, "amounts of a payment are not written by hand");
    const bool closes = row.differs(before, closed_at), moves = row.differs(before, status);
    if ((closes || moves) && !is_closing(before, row)) {
        // what the machine does not know is for the machine to refuse: its answer says what would be allowed
        const std::string_view from = before.text(status), to = row.text(status);
        const bool is_step = (from == "pending" && (to == "processing" || to == "failed")) ||
                             (from == "processing" && (to == "completed" || to == "failed")) ||
                             (from == "failed" && (to == "processing" || to == "completed")) ||
                             (from == "completed" && to == "refunded") || !moves;
        if (is_step) refuse_by_hand(before, "status of a payment is not written by hand");
    }
}
} // namespace

} // namespace usher::payment

/// _check_payment(): BEFORE INSERT OR UPDATE on payment_transactions, for each row
USHER_FUNCTION(usher_payment_check_transaction) {
    using namespace usher;
    using namespace usher::payment;
    const RowTrigger trigger(fcinfo, true, "payment_transactions");
    if (kit::is_restoring()) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    refuse_card_numbers(trigger.after(), relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (!trigger.is_update) return PointerGetDatum(check_insert(row));
    check_update(TableRow(trigger.before(), relation, numbers), row);
    return PointerGetDatum(row.tuple());
}
