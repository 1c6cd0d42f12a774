#include "usher_loyalty/loyalty_kit.hpp"

namespace usher::loyalty {

namespace {
constinit Statement make_account{R"(
    INSERT INTO @.points_accounts (customer_id, user_id)
    VALUES ($1, $2)
    ON CONFLICT (customer_id) DO NOTHING)"};
} // namespace

} // namespace usher::loyalty

/// _open_account(customer_id uuid)
USHER_FUNCTION(usher_loyalty_open_account) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const Uuid customer = args.uuid(0);
    const kit::UserState state = kit::lock_user(customer);
    if (state == kit::UserState::inactive)
        throw Error(errc::unknown_reference, "customer does not exist",
                    json::Object().add("customer_id", customer).text());
    make_account.run(Schema(fcinfo),
                     {pg::uuid(customer), pg::uuid_or_null(state == kit::UserState::active ? &customer : nullptr)});
    return 0;
}

/// _loyalty_reads_all(): asked by policies
USHER_FUNCTION(usher_loyalty_reads_all) { return BoolGetDatum(usher::kit::is_trusted()); }
