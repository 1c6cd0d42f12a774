#include "usher_payment/transactions/payment_permissions.hpp"
#include "common/json_object.hpp"

namespace usher::payment {

namespace {
constinit Statement find_place{"SELECT p.location_id FROM usher.purchase_of($1, $2) AS p"};
} // namespace

std::optional<Uuid> place_of(const Schema &schema, const std::optional<Uuid> &location,
                             const std::optional<std::string_view> &reference_type,
                             const std::optional<Uuid> &reference) {
    // The core of 0.9.0 does not know who sells what.
    if (!reference || !kit::core_has_function("purchase_of")) return location;
    const pg::Rows found = find_place.run(schema, {pg::text_or_null(reference_type), pg::uuid(*reference)});
    const std::optional<Uuid> sold = found.front().optional_uuid(0);
    return sold ? sold : location;
}

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

/// _payment_place(location_id uuid, reference_type text, reference_id uuid)
USHER_FUNCTION(usher_payment_place) {
    const usher::pg::Args args(fcinfo);
    const std::optional<usher::Uuid> place = usher::payment::place_of(
        usher::payment::Schema(fcinfo), args.optional_uuid(0), args.optional_text(1), args.optional_uuid(2));
    return place ? usher::pg::result(usher::pg::uuid(*place)) : usher::pg::null_result(fcinfo);
}

/// _payment_reads_all(): asked by policies
USHER_FUNCTION(usher_payment_reads_all) { return BoolGetDatum(usher::kit::is_trusted()); }
