// The ledger's rules: rows are only added, each journal is written by one transaction, and sums to zero in each
// currency when it is committed. A new journal is noted as one that the kept totals do not contain yet.
#include "common/json_object.hpp"
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

namespace {
constinit Statement find_difference{R"(
    SELECT e.currency, (sum(CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE -e.amount_minor END))::text
    FROM @.ledger_entries AS e
    WHERE e.journal_id = $1
    GROUP BY e.currency
    HAVING sum(CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE -e.amount_minor END) <> 0
    LIMIT 1)"};
constinit Statement find_writer{"SELECT j.xmin::text FROM @.ledger_journals AS j WHERE j.id = $1"};
constinit Statement note{"INSERT INTO @.ledger_unsummed_journals (journal_id) VALUES ($1)"};

Uuid uuid_column(const TriggerData *data, const char *name) {
    const int number = column_number(data->tg_relation, name, UUIDOID);
    bool is_null = false;
    const TupleDesc desc = RelationGetDescr(data->tg_relation);
    const Datum value = pg::call([&] { return heap_getattr(data->tg_trigtuple, number, desc, &is_null); });
    return pg::uuid_of(value);
}

const TriggerData *require_insert(FunctionCallInfo fcinfo, const Schema &schema, const char *table) {
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_FOR_ROW(each.tg_event) && TRIGGER_FIRED_AFTER(each.tg_event) &&
               TRIGGER_FIRED_BY_INSERT(each.tg_event);
    };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "AFTER INSERT for each row");
    require_table(data, schema, table);
    return data;
}

/// The journal that was found to be right, and when: the other entries of it need no second look, unless something was
/// written in between.
struct Checked {
    Uuid journal;
    FullTransactionId transaction;
    CommandId command;
};
constinit Checked last_checked{};

Checked check_of(const Uuid &journal) {
    return {journal, pg::call([] { return GetTopFullTransactionId(); }),
            pg::call([] { return GetCurrentCommandId(false); })};
}
bool is_same(const Checked &one, const Checked &other) {
    return one.journal == other.journal && FullTransactionIdEquals(one.transaction, other.transaction) &&
           one.command == other.command;
}
} // namespace

} // namespace usher::payment

/// _check_journal(): a deferred constraint trigger AFTER INSERT on ledger_entries, for each row
USHER_FUNCTION(usher_payment_check_journal) {
    using namespace usher;
    using namespace usher::payment;
    const Schema schema(fcinfo);
    const TriggerData *const data = require_insert(fcinfo, schema, "ledger_entries");
    if (kit::is_restoring()) return Datum{0};
    const Uuid journal = uuid_column(data, "journal_id");
    const Checked now = check_of(journal);
    if (is_same(now, last_checked)) return Datum{0};
    const pg::Rows writer = find_writer.run(schema, {pg::uuid(journal)});
    const auto xid = static_cast<TransactionId>(std::stoul(writer.front().string(0)));
    if (!pg::call([xid] { return TransactionIdIsCurrentTransactionId(xid); }))
        throw Error(errc::append_only, "a journal has the entries that it was posted with",
                    json::Object().add("journal_id", journal).text(), "Post another journal.");
    const pg::Rows wrong = find_difference.run(schema, {pg::uuid(journal)});
    if (!wrong.empty())
        throw Error(errc::ledger_unbalanced, "entries of a journal do not sum to zero in each currency",
                    json::Object()
                        .add("journal_id", journal)
                        .add("currency", wrong.front().text(0))
                        .add("difference_minor", wrong.front().text(1))
                        .text());
    last_checked = now;
    return Datum{0};
}

/// _note_journal(): AFTER INSERT on ledger_journals, for each row
USHER_FUNCTION(usher_payment_note_journal) {
    using namespace usher;
    using namespace usher::payment;
    const Schema schema(fcinfo);
    const TriggerData *const data = require_insert(fcinfo, schema, "ledger_journals");
    if (kit::is_restoring()) return Datum{0};
    note.run(schema, {pg::uuid(uuid_column(data, "id"))});
    return Datum{0};
}

/// _refuse_ledger_change(): BEFORE UPDATE OR DELETE OR TRUNCATE on the ledger's tables, for each statement
USHER_FUNCTION(usher_payment_refuse_ledger_change) {
    using namespace usher;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_FOR_STATEMENT(each.tg_event) && TRIGGER_FIRED_BEFORE(each.tg_event) &&
               !TRIGGER_FIRED_BY_INSERT(each.tg_event);
    };
    pg::require_trigger(fcinfo, fits, "BEFORE UPDATE OR DELETE OR TRUNCATE for each statement");
    throw Error(errc::append_only, "rows of the ledger are only added", "{}",
                "Reverse a journal that is wrong by another one.");
}
