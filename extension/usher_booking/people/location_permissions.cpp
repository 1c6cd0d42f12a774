#include "usher_booking/people/location_permissions.hpp"
#include "common/json_object.hpp"
#include "usher_booking/booking_kit.hpp"

namespace usher::booking {

namespace {
constinit Statement find_assignment{
    "SELECT FROM @.location_staff AS ls WHERE ls.location_id = $1 AND ls.staff_id = $2 AND ls.is_active",
    pg::Access::read};
constinit Statement find_profile{"SELECT FROM @.customers AS c WHERE c.id = $1 AND c.user_id = $2", pg::Access::read};

[[noreturn]] void refuse(std::string message, std::string_view permission, const Uuid &location) {
    throw Error(errc::not_permitted, std::move(message),
                json::Object().add("permission", permission).add("location_id", location).text());
}
} // namespace

bool may(const Schema &schema, std::string_view permission, const Uuid &location) {
    const std::optional<Uuid> user = kit::current_user();
    if (!user) {
        kit::require(permission); // throws unless the database role itself is trusted
        return true;
    }
    const std::string scope = to_string(location);
    return kit::has_permission(*user, permission, scope) &&
           (kit::has_permission(*user, "location:manage_any", scope) ||
            find_assignment.run(schema, {pg::uuid(location), pg::uuid(*user)}).processed() > 0);
}

bool is_own_customer(const Schema &schema, const Uuid &customer) {
    const std::optional<Uuid> user = kit::current_user();
    return user &&
           (customer == *user || find_profile.run(schema, {pg::uuid(customer), pg::uuid(*user)}).processed() > 0);
}

bool books_for_others(const Schema &schema, const Uuid &customer, const Uuid &location) {
    if (!is_own_customer(schema, customer)) {
        if (!may(schema, "booking:manage", location))
            refuse("only managers of the location make bookings for others", "booking:manage", location);
        return true;
    }
    if (!kit::has_permission(*kit::current_user(), "booking:create", to_string(location)))
        refuse("permission \"booking:create\" is needed", "booking:create", location);
    return false;
}

} // namespace usher::booking

/// _may(permission text, location_id uuid)
USHER_FUNCTION(usher_booking_may) {
    const usher::pg::Args args(fcinfo);
    return BoolGetDatum(usher::booking::may(usher::kit::Schema(fcinfo), args.text(0), args.uuid(1)));
}

/// _reads_all(): asked by policies, inside parallel plans too, where no subtransaction can begin to catch a refusal.
USHER_FUNCTION(usher_booking_reads_all) { return BoolGetDatum(usher::kit::is_trusted()); }

/// _books_for_others(customer_id uuid, location_id uuid)
USHER_FUNCTION(usher_booking_books_for_others) {
    const usher::pg::Args args(fcinfo);
    return BoolGetDatum(usher::booking::books_for_others(usher::kit::Schema(fcinfo), args.uuid(0), args.uuid(1)));
}
