// The ledger's two rules: rows are only added, and each journal sums to zero in each currency when it is committed.
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
} // namespace

} // namespace usher::payment

/// _check_journal(): a deferred constraint trigger AFTER INSERT on ledger_entries, for each row
USHER_FUNCTION(usher_payment_check_journal) {
    using namespace usher;
    using namespace usher::payment;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_FOR_ROW(each.tg_event) && TRIGGER_FIRED_AFTER(each.tg_event) &&
               TRIGGER_FIRED_BY_INSERT(each.tg_event);
    };
    const TriggerData *const data = pg::require_trigger(fcinfo, fits, "AFTER INSERT for each row");
    const Schema schema(fcinfo);
    require_table(data, schema, "ledger_entries");
    if (kit::is_restoring()) return PointerGetDatum(nullptr);
    const int number = column_number(data->tg_relation, "journal_id", UUIDOID);
    bool is_null = false;
    const TupleDesc desc = RelationGetDescr(data->tg_relation);
    const Datum value = pg::call([&] { return heap_getattr(data->tg_trigtuple, number, desc, &is_null); });
    const Uuid journal = pg::uuid_of(value);
    const pg::Rows wrong = find_difference.run(schema, {pg::uuid(journal)});
    if (!wrong.empty())
        throw Error(errc::ledger_unbalanced, "entries of a journal do not sum to zero in each currency",
                    json::Object()
                        .add("journal_id", journal)
                        .add("currency", wrong.front().text(0))
                        .add("difference_minor", wrong.front().text(1))
                        .text());
    return PointerGetDatum(nullptr);
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
