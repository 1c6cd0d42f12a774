#include "usher_payment/webhooks/ingest.hpp"
#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"
#include "usher_payment/settlement/settling.hpp"

namespace usher::payment {

namespace {
constinit Statement insert{R"(
    INSERT INTO @.payment_webhook_events (id, processor, event_id, event_type, occurred_at, report, provider_key,
        processor_transaction_id, processor_refund_id, processor_dispute_id, amount_minor, fee_minor, currency,
        failure_code, effect)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (processor, event_id) DO NOTHING)"};
constinit Statement find_effect{R"(
    SELECT e.effect, e.transaction_id
    FROM @.payment_webhook_events AS e
    WHERE e.processor = $1 AND e.event_id = $2)"};
constinit Statement set_effect{R"(
    UPDATE @.payment_webhook_events AS e
    SET effect = $2, transaction_id = $3
    WHERE e.id = $1)"};
constinit Statement find_attempt_by_key{R"(
    SELECT a.id, t.id, t.currency, t.amount_minor
    FROM @.payment_attempts AS a JOIN @.payment_transactions AS t ON t.id = a.transaction_id
    WHERE a.provider_key = $2 AND a.processor = $1)"};
constinit Statement find_attempt_by_id{R"(
    SELECT a.id, t.id, t.currency, t.amount_minor
    FROM @.payment_attempts AS a JOIN @.payment_transactions AS t ON t.id = a.transaction_id
    WHERE a.processor = $1 AND a.processor_transaction_id = $2 AND a.outcome <> 'superseded')"};
constinit Statement find_payment{R"(
    SELECT t.id, t.currency, t.captured_minor
    FROM @.payment_transactions AS t
    WHERE t.processor = $1 AND t.processor_transaction_id = $2)"};
constinit Statement find_refund{R"(
    SELECT r.id, r.currency, r.amount_minor, r.transaction_id
    FROM @.payment_refunds AS r
    WHERE r.processor = $1 AND r.processor_refund_id = $2)"};
constinit Statement find_refund_by_key{R"(
    SELECT r.id, r.currency, r.amount_minor, r.transaction_id
    FROM @.payment_refunds AS r
    WHERE r.provider_key = $2 AND r.processor = $1)"};
// One of ours that a worker has sent, when its key was not handed back. What nobody has sent cannot be meant.
constinit Statement adopt_refund{R"(
    SELECT r.id
    FROM @.payment_refunds AS r
    WHERE r.transaction_id = $1 AND r.amount_minor = $2 AND r.processor_refund_id IS NULL AND r.status = 'processing'
    ORDER BY r.created_at, r.id LIMIT 1 FOR NO KEY UPDATE)"};
constinit Statement lock_left{R"(
    SELECT t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};
constinit Statement find_disputed{R"(
    SELECT t.id, t.currency, t.captured_minor
    FROM @.payment_disputes AS d JOIN @.payment_transactions AS t ON t.id = d.transaction_id
    WHERE d.processor = $1 AND d.processor_dispute_id = $2)"};
constinit Statement lock_dispute{R"(
    SELECT d.id, d.status
    FROM @.payment_disputes AS d
    WHERE d.processor = $1 AND d.processor_dispute_id = $2 FOR NO KEY UPDATE)"};
constinit Statement insert_dispute{R"(
    INSERT INTO @.payment_disputes (transaction_id, processor, processor_dispute_id, amount_minor, currency, status,
                                    reason, closed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $6 <> 'open' THEN pg_catalog.now() END)
    ON CONFLICT (processor, processor_dispute_id) DO NOTHING)"};
constinit Statement close_dispute{R"(
    UPDATE @.payment_disputes AS d
    SET status = $2, closed_at = pg_catalog.now()
    WHERE d.id = $1)"};
#define UNMATCHED                                                                                                      \
    "SELECT e.id, e.report, e.provider_key, e.processor_transaction_id, e.processor_refund_id, "                       \
    "e.processor_dispute_id,"                                                                                          \
    " e.amount_minor, e.fee_minor, e.currency, e.failure_code, e.occurred_at, e.event_id, e.event_type"                \
    " FROM @.payment_webhook_events AS e WHERE e.processor = $1 AND e.effect = 'unmatched' AND e."
#define IN_ORDER " = $2 ORDER BY coalesce(e.occurred_at, e.received_at), e.id"
// By what they name, as Named counts.
constinit Statement find_unmatched[] = {Statement{UNMATCHED "processor_transaction_id" IN_ORDER},
                                        Statement{UNMATCHED "processor_refund_id" IN_ORDER},
                                        Statement{UNMATCHED "processor_dispute_id" IN_ORDER}};
#undef UNMATCHED
#undef IN_ORDER
// It is at work on this one now: what the event brings about looks for such events, too.
constinit Statement take_unmatched{R"(
    UPDATE @.payment_webhook_events AS e
    SET effect = 'received'
    WHERE e.id = $1 AND e.effect = 'unmatched')"};
// Until the end of the transaction; others hash to the same number now and then, and wait without need.
constinit Statement wait_for{"SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))"};

constexpr const char *nothing_known = "unmatched";

struct Effect {
    const char *name;
    std::optional<Uuid> transaction;
};

/// What it says does not fit to what we know: money is not guessed at.
Effect mismatch(const WebhookEvent &event, const Uuid &transaction, const char *what) {
    json::Object object;
    object.add("transaction_id", transaction).add("event_id", event.id).add("event_type", event.type).add("what", what);
    if (event.amount_minor) object.add("amount_minor", *event.amount_minor);
    if (!event.currency.empty()) object.add("currency", event.currency);
    kit::publish("payment.mismatch", object.text(), to_string(transaction));
    return {"mismatch", transaction};
}

class Applied {
public:
    Applied(const Schema &schema, std::string_view processor, const WebhookEvent &event)
        : schema_(schema), processor_(processor), event_(event) {}

    Effect payment(Outcome outcome) {
        pg::Rows found;
        if (!event_.provider_key.empty())
            found = find_attempt_by_key.run(schema_, {pg::text(processor_), pg::text(event_.provider_key)});
        if (found.empty() && !event_.processor_transaction_id.empty())
            found = find_attempt_by_id.run(schema_, {pg::text(processor_), pg::text(event_.processor_transaction_id)});
        if (found.empty()) return unmatched();
        const pg::Row attempt = found.front();
        if (!event_.currency.empty() && event_.currency != attempt.text(2))
            return mismatch(event_, attempt.uuid(1), "currency");
        AttemptReport report;
        report.outcome = outcome;
        report.processor_transaction_id = event_.processor_transaction_id;
        report.failure_code = event_.failure_code;
        report.occurred_at = event_.occurred_at;
        if (outcome == Outcome::succeeded) {
            report.captured_minor = event_.amount_minor;
            report.fee_minor = event_.fee_minor;
            if (event_.amount_minor && (*event_.amount_minor < 1 || *event_.amount_minor > attempt.int8(3)))
                return mismatch(event_, attempt.uuid(1), "amount");
        }
        if (report.fee_minor && *report.fee_minor < 0) report.fee_minor.reset();
        try {
            const PaymentState state = report_attempt(schema_, attempt.uuid(0), report);
            return {state.is_known ? "known" : "applied", state.transaction};
        } catch (const Error &refusal) { // thrown here, before anything is written; the server's own are PgErrors
            if (refusal.sqlstate() != errc::duplicate_processor_id.sqlstate) throw;
        }
        return mismatch(event_, attempt.uuid(1), "processor_transaction_id");
    }

    Effect refund(Outcome outcome) {
        pg::Rows found;
        if (!event_.processor_refund_id.empty())
            found = find_refund.run(schema_, {pg::text(processor_), pg::text(event_.processor_refund_id)});
        if (found.empty() && !event_.provider_key.empty())
            found = find_refund_by_key.run(schema_, {pg::text(processor_), pg::text(event_.provider_key)});
        if (found.empty()) return refund_of_theirs(outcome);
        const pg::Row known = found.front();
        if (!event_.currency.empty() && event_.currency != known.text(1))
            return mismatch(event_, known.uuid(3), "currency");
        if (event_.amount_minor && *event_.amount_minor != known.int8(2))
            return mismatch(event_, known.uuid(3), "amount");
        return report(known.uuid(0), outcome);
    }

    Effect dispute(const char *status) {
        if (event_.processor_dispute_id.empty()) return {"other", std::nullopt};
        const bool is_open = std::string_view(status) == "open";
        pg::Rows payments = find_paid();
        if (payments.empty()) // told by its own id only, as it may be once it is known
            payments = find_disputed.run(schema_, {pg::text(processor_), pg::text(event_.processor_dispute_id)});
        if (payments.empty()) return unmatched();
        const Uuid transaction = payments.front().uuid(0);
        announce(schema_, transaction);
        const pg::Rows known = lock_dispute.run(schema_, {pg::text(processor_), pg::text(event_.processor_dispute_id)});
        if (!known.empty()) {
            if (is_open || known.front().text(1) != "open") return {"known", transaction};
            close_dispute.run(schema_, {known.front().param(0), pg::text(status)});
            return {"applied", transaction};
        }
        if (!event_.currency.empty() && event_.currency != payments.front().text(1))
            return mismatch(event_, transaction, "currency");
        const std::int64_t amount = event_.amount_minor.value_or(payments.front().int8(2));
        if (amount < 1 || amount > payments.front().int8(2)) return mismatch(event_, transaction, "amount");
        const auto made = insert_dispute.run(schema_, {pg::uuid(transaction), pg::text(processor_),
                                                       pg::text(event_.processor_dispute_id), pg::int8(amount),
                                                       payments.front().param(1), pg::text(status),
                                                       pg::text_unless_empty(event_.failure_code)});
        if (made.processed() == 0) return {"known", transaction};
        apply_unmatched(schema_, processor_, Named::dispute, event_.processor_dispute_id);
        return {"applied", transaction};
    }

private:
    static Effect unmatched() { return {nothing_known, std::nullopt}; }

    pg::Rows find_paid() {
        pg::Rows found;
        if (!event_.processor_transaction_id.empty())
            found = find_payment.run(schema_, {pg::text(processor_), pg::text(event_.processor_transaction_id)});
        if (!found.empty() && found.front().int8(2) == 0) return {};
        return found;
    }

    /// Made at the processor, by hand, or one of ours whose key was not handed back.
    Effect refund_of_theirs(Outcome outcome) {
        const pg::Rows payments = find_paid();
        if (payments.empty()) return unmatched();
        const Uuid transaction = payments.front().uuid(0);
        if (!event_.currency.empty() && event_.currency != payments.front().text(1))
            return mismatch(event_, transaction, "currency");
        if (!event_.amount_minor || *event_.amount_minor < 1) return mismatch(event_, transaction, "amount");
        // Those of one payment, one after the other: one that is known by now is not adopted, nor noted, a second time.
        announce(schema_, transaction);
        wait_for.run(schema_, {pg::text("usher_payment refunds of " + to_string(transaction))});
        if (!event_.processor_refund_id.empty()) {
            const pg::Rows known =
                find_refund.run(schema_, {pg::text(processor_), pg::text(event_.processor_refund_id)});
            if (!known.empty()) return report(known.front().uuid(0), outcome);
        }
        const pg::Rows ours = adopt_refund.run(schema_, {pg::uuid(transaction), pg::int8(*event_.amount_minor)});
        if (!ours.empty()) return report(ours.front().uuid(0), outcome);
        if (outcome != Outcome::succeeded) return {"known", transaction};
        if (lock_left.run(schema_, {pg::uuid(transaction)}).front().int8(0) < *event_.amount_minor)
            return mismatch(event_, transaction, "over_refund");
        return report(note_refund(schema_, transaction, *event_.amount_minor), outcome);
    }

    Effect report(const Uuid &refund, Outcome outcome) {
        RefundReport said;
        said.outcome = outcome;
        said.processor_refund_id = event_.processor_refund_id;
        said.failure_code = event_.failure_code;
        said.occurred_at = event_.occurred_at;
        const RefundState state = report_refund(schema_, refund, said);
        return {state.is_known ? "known" : "applied", state.transaction};
    }

    const Schema &schema_;
    std::string_view processor_;
    const WebhookEvent &event_;
};

Effect apply(const Schema &schema, std::string_view processor, const WebhookEvent &event) {
    Applied applied(schema, processor, event);
    switch (event.report) {
    case Report::payment_unknown: return applied.payment(Outcome::unknown);
    case Report::payment_failed: return applied.payment(Outcome::declined);
    case Report::payment_succeeded: return applied.payment(Outcome::succeeded);
    case Report::refund_failed: return applied.refund(Outcome::declined);
    case Report::refund_succeeded: return applied.refund(Outcome::succeeded);
    case Report::dispute_opened: return applied.dispute("open");
    case Report::dispute_won: return applied.dispute("won");
    case Report::dispute_lost: return applied.dispute("lost");
    case Report::other: break;
    }
    return {"other", std::nullopt};
}

void wait_for_id(const Schema &schema, Named named, std::string_view processor, const std::string &theirs) {
    if (theirs.empty()) return;
    wait_for.run(schema, {pg::text("usher_payment webhooks " + std::to_string(static_cast<int>(named)) + " " +
                                   std::string(processor) + " " + theirs)});
}

pg::Param number_or_null(const std::optional<std::int64_t> &number) {
    return number ? pg::int8(*number) : pg::null(INT8OID);
}
} // namespace

Ingested ingest(const Schema &schema, std::string_view processor, const WebhookEvent &event) {
    const Uuid id = pg::new_uuid();
    const bool is_other = event.report == Report::other;
    const bool is_new =
        insert
            .run(schema,
                 {pg::uuid(id), pg::text(processor), pg::text(event.id), pg::text(event.type),
                  pg::timestamptz_or_null(event.occurred_at), pg::text(name_of(event.report)),
                  pg::text_unless_empty(event.provider_key), pg::text_unless_empty(event.processor_transaction_id),
                  pg::text_unless_empty(event.processor_refund_id), pg::text_unless_empty(event.processor_dispute_id),
                  number_or_null(event.amount_minor), number_or_null(event.fee_minor),
                  pg::text_unless_empty(event.currency), pg::text_unless_empty(event.failure_code),
                  pg::text(is_other ? "other" : "received")})
            .processed() > 0;
    if (!is_new) {
        const pg::Rows known = find_effect.run(schema, {pg::text(processor), pg::text(event.id)});
        if (known.empty()) throw Error("40001", "could not serialize access: the webhook is being received");
        return {true, known.front().string(0), known.front().optional_uuid(1)};
    }
    if (is_other) return {false, "other", std::nullopt};
    Effect effect = apply(schema, processor, event);
    if (effect.name == nothing_known) {
        // Whoever is just learning one of these ids looks for such events before, or after, this one is stored.
        wait_for_id(schema, Named::transaction, processor, event.processor_transaction_id);
        wait_for_id(schema, Named::refund, processor, event.processor_refund_id);
        wait_for_id(schema, Named::dispute, processor, event.processor_dispute_id);
        effect = apply(schema, processor, event);
    }
    set_effect.run(schema, {pg::uuid(id), pg::text(effect.name), pg::uuid_or_null(effect.transaction)});
    return {false, effect.name, effect.transaction};
}

void apply_unmatched(const Schema &schema, std::string_view processor, Named named, const std::string &theirs) {
    if (theirs.empty()) return;
    wait_for_id(schema, named, processor, theirs);
    const pg::Rows waiting =
        find_unmatched[static_cast<std::size_t>(named)].run(schema, {pg::text(processor), pg::text(theirs)});
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        const pg::Row row = waiting[i];
        if (take_unmatched.run(schema, {row.param(0)}).processed() == 0) continue;
        const auto text_of = [&](int column) { return row.optional_text(column).value_or(""); };
        const auto number_of = [&](int column) {
            return row.is_null(column) ? std::nullopt : std::optional(row.int8(column));
        };
        WebhookEvent event;
        event.report = parse_report(row.text(1)).value_or(Report::other);
        event.provider_key = text_of(2);
        event.processor_transaction_id = text_of(3);
        event.processor_refund_id = text_of(4);
        event.processor_dispute_id = text_of(5);
        event.amount_minor = number_of(6);
        event.fee_minor = number_of(7);
        event.currency = text_of(8);
        event.failure_code = text_of(9);
        event.occurred_at = row.optional_time(10);
        event.id = text_of(11);
        event.type = text_of(12);
        const Effect effect = apply(schema, processor, event);
        set_effect.run(schema, {row.param(0), pg::text(effect.name), pg::uuid_or_null(effect.transaction)});
    }
}

} // namespace usher::payment
