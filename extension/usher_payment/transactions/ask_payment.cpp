#include "usher_payment/transactions/ask_payment.hpp"

namespace usher::payment {

namespace {
constinit Statement close_others{R"(
    SELECT @._close_payments(ARRAY(
        SELECT t.id
        FROM @.payment_transactions AS t
        WHERE t.reference_type = $1 AND t.reference_id = $2 AND t.purpose = $3 AND t.exclusive
            AND t.closed_at IS NULL AND t.status IN ('pending', 'failed')), 'replaced'))"};
constinit Statement insert{R"(
    INSERT INTO @.payment_transactions (customer_id, user_id, location_id, reference_type, reference_id, purpose,
                                        amount_minor, currency, payment_method, balance_minor, created_by, exclusive)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (reference_type, reference_id, purpose)
        WHERE exclusive AND closed_at IS NULL AND status IN ('pending', 'processing', 'failed') DO NOTHING)"};
} // namespace

void ask_payment(const Schema &schema, const Asked &asked) {
    close_others.run(schema, {asked.reference_type, asked.reference, asked.purpose});
    for (const bool is_exclusive : {true, false}) {
        const pg::Rows made =
            insert.run(schema, {asked.customer, asked.user, asked.location, asked.reference_type, asked.reference,
                                asked.purpose, asked.amount_minor, asked.currency, asked.payment_method,
                                asked.balance_minor, asked.created_by, pg::boolean(is_exclusive)});
        if (made.processed() > 0) return;
    }
}

} // namespace usher::payment

/// _ask_payment(customer_id, user_id, location_id, reference_type, reference_id, purpose, amount_minor, currency,
/// payment_method, balance_minor, created_by)
USHER_FUNCTION(usher_payment_ask) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const std::optional<Uuid> customer = args.optional_uuid(0), user = args.optional_uuid(1),
                              location = args.optional_uuid(2), created_by = args.optional_uuid(10);
    const Uuid reference = args.uuid(4);
    ask_payment(Schema(fcinfo),
                {pg::uuid_or_null(customer), pg::uuid_or_null(user), pg::uuid_or_null(location), pg::text(args.text(3)),
                 pg::uuid(reference), pg::text(args.text(5)), pg::int8(args.int8(6)), pg::text(args.text(7)),
                 pg::text(args.text(8)), pg::int8(args.int8(9)), pg::uuid_or_null(created_by)});
    return Datum{0};
}
