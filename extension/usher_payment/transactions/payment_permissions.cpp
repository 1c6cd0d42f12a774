#include "usher_payment/transactions/payment_permissions.hpp"
#include "common/json_object.hpp"

namespace usher::payment {

namespace {
constinit Statement acts_by_key{"SELECT usher.current_api_key_id() IS NOT NULL"};
} // namespace

std::optional<Uuid> acting_person(const Schema &schema) {
    const std::optional<Uuid> user = kit::current_user();
    if (user && acts_by_key.run(schema, std::span<const pg::Param>{}).front().boolean(0)) return std::nullopt;
    return user;
}

bool may(std::string_view permission, const std::optional<Uuid> &location) {
    const std::optional<Uuid> user = kit::current_user();
    if (!user) {
        kit::require(permission); // throws unless the database role itself is trusted
        return true;
    }
    if (!location) return kit::has_permission(*user, permission);
    return kit::has_permission(*user, permission, to_string(*location));
}

void require(std::string_view permission, const std::optional<Uuid> &location) {
    if (may(permission, location)) return;
    json::Object detail;
    detail.add("permission", permission);
    if (location) detail.add("location_id", *location);
    throw Error(errc::not_permitted, "permission \"" + std::string(permission) + "\" is needed", detail.text());
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
    return BoolGetDatum(usher::payment::may(args.text(0), args.optional_uuid(1)));
}

/// _payment_reads_all(): asked by policies
USHER_FUNCTION(usher_payment_reads_all) { return BoolGetDatum(usher::kit::is_trusted()); }
