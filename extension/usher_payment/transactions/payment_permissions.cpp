#include "usher_payment/transactions/payment_permissions.hpp"
#include "common/json_object.hpp"

namespace usher::payment {

void refuse_transaction(const Uuid &transaction) {
    throw Error(errc::unknown_reference, "payment does not exist",
                json::Object().add("transaction_id", transaction).text());
}

void check_version(std::int32_t actual, const std::optional<std::int32_t> &expected, const Uuid &transaction) {
    if (!expected || *expected == actual) return;
    throw Error(errc::stale_version, "payment was changed by somebody else",
                json::Object()
                    .add("id", transaction)
                    .add("expected_version", std::int64_t{*expected})
                    .add("version", std::int64_t{actual})
                    .text());
}

} // namespace usher::payment

/// _payment_may(permission text, location_id uuid)
USHER_FUNCTION(usher_payment_may) {
    const usher::pg::Args args(fcinfo);
    return BoolGetDatum(usher::kit::may(args.text(0), args.optional_uuid(1)));
}

/// _payment_reads_all(): asked by policies
USHER_FUNCTION(usher_payment_reads_all) { return BoolGetDatum(usher::kit::is_trusted()); }
