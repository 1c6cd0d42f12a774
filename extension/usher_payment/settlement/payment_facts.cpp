#include "usher_payment/settlement/payment_facts.hpp"

namespace usher::payment {

namespace {
constinit Statement read_totals{R"(
    SELECT pg_catalog.jsonb_build_object(
        'reference_captured_minor',
        sum(greatest(o.captured_minor - o.disputed_minor, o.refunded_minor + o.refund_reserved_minor))::bigint,
        'reference_refunded_minor', sum(o.refunded_minor + o.refund_reserved_minor)::bigint)::text
    FROM @.payment_transactions AS t JOIN @.payment_transactions AS o
        ON o.reference_id = t.reference_id AND o.reference_type = t.reference_type AND o.currency = t.currency
    WHERE t.id = $1
    HAVING pg_catalog.count(*) > 0)"};
constinit Statement read_facts{R"(
    SELECT (pg_catalog.jsonb_build_object('transaction_id', t.id, 'status', t.status,
        'reference_type', t.reference_type, 'reference_id', t.reference_id, 'customer_id', t.customer_id,
        'user_id', t.user_id, 'location_id', t.location_id, 'purpose', t.purpose, 'amount_minor', t.amount_minor,
        'currency', t.currency, 'exponent', t.exponent, 'payment_method', t.payment_method, 'processor', t.processor,
        'captured_minor', t.captured_minor, 'refunded_minor', t.refunded_minor + t.refund_reserved_minor,
        'refund_reserved_minor', t.refund_reserved_minor, 'disputed_minor', t.disputed_minor,
        'completed_at', t.completed_at, 'version', t.version) || $2)::text
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};
} // namespace

std::string join(std::string_view object, std::string_view more) {
    if (more == "{}") return std::string(object);
    return std::string(object.substr(0, object.size() - 1)) + "," + std::string(more.substr(1));
}

std::string reference_totals(const Schema &schema, const Uuid &transaction) {
    const pg::Rows totals = read_totals.run(schema, {pg::uuid(transaction)});
    return totals.empty() ? "{}" : totals.front().string(0);
}

std::string payment_facts(const Schema &schema, const Uuid &transaction, std::string_view more) {
    const pg::Rows facts = read_facts.run(schema, {pg::uuid(transaction), pg::jsonb(more)});
    return join(facts.front().string(0), reference_totals(schema, transaction));
}

} // namespace usher::payment
