#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"
#include "usher_payment/settlement/settling.hpp"
#include "usher_payment/webhooks/ingest.hpp"

namespace usher::payment {

namespace {
constinit Statement find_transaction{"SELECT r.transaction_id FROM @.payment_refunds AS r WHERE r.id = $1"};
// The refund, then its transaction, which the trigger locks.
constinit Statement lock_refund{R"(
    SELECT r.transaction_id, r.status, r.provider_at, r.processor, r.amount_minor, r.processor_refund_id
    FROM @.payment_refunds AS r
    WHERE r.id = $1 FOR NO KEY UPDATE)"};
constinit Statement change{R"(
    UPDATE @.payment_refunds AS r
    SET status = $2, processor_refund_id = coalesce(r.processor_refund_id, $3), failure_code = $4,
        response = coalesce($5, r.response), provider_at = greatest(r.provider_at, $6)
    WHERE r.id = $1)"};
constinit Statement note_id{R"(
    UPDATE @.payment_refunds AS r
    SET processor_refund_id = $2
    WHERE r.id = $1 AND r.processor_refund_id IS NULL)"};
constinit Statement find_same_id{R"(
    SELECT r.id
    FROM @.payment_refunds AS r
    WHERE r.processor = $1 AND r.processor_refund_id = $2 AND r.id <> $3)"};
constinit Statement insert_theirs{R"(
    INSERT INTO @.payment_refunds (id, transaction_id, amount_minor, reason_code, provider_key, status)
    VALUES ($1, $2, $3, 'made_at_processor', $4, 'processing'))"};
constinit Statement read_state{R"(
    SELECT r.status, t.status, t.refunded_minor
    FROM @.payment_refunds AS r JOIN @.payment_transactions AS t ON t.id = r.transaction_id
    WHERE r.id = $1)"};
constinit Statement find_left{R"(
    SELECT t.captured_minor - t.refunded_minor - t.refund_reserved_minor, t.disputed_minor
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};

void contradict(const Uuid &refund, const Uuid &transaction, std::string_view reported, const std::string &theirs) {
    json::Object object;
    object.add("refund_id", refund).add("transaction_id", transaction).add("reported", reported);
    if (!theirs.empty()) object.add("processor_refund_id", theirs);
    kit::publish("refund.contradicted", object.text(), to_string(transaction));
}

std::int64_t left_of(const Schema &schema, const Uuid &transaction) {
    return find_left.run(schema, {pg::uuid(transaction)}).front().int8(0);
}

/// What a new refund may take: not what a bank has.
std::int64_t left_undisputed(const Schema &schema, const Uuid &transaction) {
    const pg::Rows found = find_left.run(schema, {pg::uuid(transaction)});
    return found.front().int8(0) - found.front().int8(1);
}

std::string_view word_for(Outcome outcome) { return outcome == Outcome::declined ? "failed" : name_of(outcome); }

/// A refund has one id of its processor, and no other refund has it. False when the report is about another one: a
/// person has to look, and what left by it has left, as long as there is that much.
bool is_its_own(const Schema &schema, const Uuid &refund, const pg::Row &row, const RefundReport &report,
                bool &is_recorded) {
    const std::string &theirs = report.processor_refund_id;
    if (theirs.empty() || (!row.is_null(5) && row.text(5) == theirs)) return true;
    const bool is_known = !find_same_id.run(schema, {row.param(3), pg::text(theirs), pg::uuid(refund)}).empty();
    if (row.is_null(5) && !is_known) return true;
    if (is_known && !row.is_null(5)) return false; // it was told of before, and is one of its own by now
    const Uuid transaction = row.uuid(0);
    const std::int64_t amount = row.int8(4);
    contradict(refund, transaction, word_for(report.outcome), theirs);
    if (is_known || report.outcome != Outcome::succeeded || left_undisputed(schema, transaction) < amount) return false;
    RefundReport of_other = report;
    of_other.response.clear();
    report_refund(schema, note_refund(schema, transaction, amount), of_other);
    is_recorded = true;
    return false;
}
} // namespace

Uuid note_refund(const Schema &schema, const Uuid &transaction, std::int64_t amount_minor) {
    const Uuid made = pg::new_uuid();
    const Settling now(transaction);
    insert_theirs.run(
        schema, {pg::uuid(made), pg::uuid(transaction), pg::int8(amount_minor), pg::text("theirs-" + to_string(made))});
    return made;
}

RefundState report_refund(const Schema &schema, const Uuid &refund, const RefundReport &report) {
    const pg::Rows known = find_transaction.run(schema, {pg::uuid(refund)});
    if (known.empty())
        throw Error(errc::unknown_reference, "refund does not exist", json::Object().add("refund_id", refund).text());
    announce(schema, known.front().uuid(0));
    const pg::Rows found = lock_refund.run(schema, {pg::uuid(refund)});
    const pg::Row row = found.front();
    const Uuid transaction = row.uuid(0);
    const RefundStatus before = parse_refund_status(row.text(1)).value();
    const std::string &theirs = report.processor_refund_id;
    bool is_recorded = false;
    const bool is_own = is_its_own(schema, refund, row, report, is_recorded),
               is_new_id = is_own && !theirs.empty() && row.is_null(5);
    RefundStep step = is_own ? decide_refund(before, report.outcome) : RefundStep::none;
    const std::optional<Instant> known_at = row.optional_time(2);
    if (report.outcome != Outcome::succeeded && report.occurred_at && known_at && *report.occurred_at < *known_at)
        step = RefundStep::none;
    // Its reservation was given back, and somebody else may have used it since: then a person must look.
    if (step == RefundStep::succeed_late && left_of(schema, transaction) < row.int8(4)) {
        contradict(refund, transaction, "succeeded", theirs);
        step = RefundStep::none;
    }
    const auto to = [&](const char *status) {
        change.run(schema, {pg::uuid(refund), pg::text(status), pg::text_unless_empty(theirs),
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
    case RefundStep::contradict: contradict(refund, transaction, "failed", theirs); break;
    }
    if (is_new_id) {
        note_id.run(schema, {pg::uuid(refund), pg::text(theirs)});
        apply_unmatched(schema, row.text(3), Named::refund, theirs);
    }
    const pg::Rows after = read_state.run(schema, {pg::uuid(refund)});
    const pg::Row now = after.front();
    return {refund,        transaction, now.string(0),
            now.string(1), now.int8(2), step == RefundStep::none && !is_new_id && !is_recorded};
}

} // namespace usher::payment
