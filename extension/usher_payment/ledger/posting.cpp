#include "usher_payment/ledger/posting.hpp"

namespace usher::payment {

namespace {
constinit Statement insert_journal{R"(
    WITH journal AS (
        INSERT INTO @.ledger_journals (id, kind, reference_type, reference_id, posted_by)
        VALUES ($1, $2, 'payment', $3, $4))
    INSERT INTO @.ledger_entries (journal_id, entry_no, account, direction, amount_minor, currency)
    VALUES ($1, 1, $5, 'debit', $7, $8), ($1, 2, $6, 'credit', $7, $8))"};
} // namespace

std::string money_account(std::string_view processor, std::string_view payment_method) {
    if (processor == "manual") return "till:" + std::string(payment_method);
    return "processor:" + std::string(processor);
}

void post(const Schema &schema, const Posting &posting) {
    if (posting.amount_minor == 0) return;
    const bool is_reversed = posting.amount_minor < 0;
    const Uuid id = pg::new_uuid();
    const std::optional<Uuid> actor = kit::current_user();
    insert_journal.run(
        schema, {pg::uuid(id), pg::text(posting.kind), pg::uuid(posting.transaction),
                 pg::uuid_or_null(actor ? &*actor : nullptr), pg::text(is_reversed ? posting.credit : posting.debit),
                 pg::text(is_reversed ? posting.debit : posting.credit),
                 pg::int8(is_reversed ? -posting.amount_minor : posting.amount_minor), pg::text(posting.currency)});
}

} // namespace usher::payment
