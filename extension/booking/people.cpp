#include "booking/people.hpp"
#include "access/access.hpp"
#include "core/json_object.hpp"
#include "identity/references.hpp"

namespace usher::booking {

namespace {
constinit Statement lock_profile{"SELECT c.user_id, c.is_active FROM @.customers AS c WHERE c.id = $1 FOR SHARE"};
constinit Statement make_profile{"INSERT INTO @.customers (id, user_id) VALUES ($1, $1) ON CONFLICT DO NOTHING"};

// FOR SHARE: whoever takes the staff member off the location, or changes their hours, waits for this booking, and then
// sees it. What depends on the row is asked in a statement of its own, after the wait.
constinit Statement lock_assignment{
    "SELECT ls.role, ls.hours_version FROM @.location_staff AS ls"
    " WHERE ls.location_id = $1 AND ls.staff_id = $2 AND ls.is_active AND ls.bookable FOR SHARE"};
constinit Statement find_skills{"SELECT k.service_id FROM @.staff_skills AS k WHERE k.staff_id = $1"};
constinit Statement find_time_off{"SELECT FROM @.staff_time_off AS t WHERE t.staff_id = $1"
                                  " AND t.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3) LIMIT 1"};

/// Whoever has no skill on record may give every service.
bool is_skilled(const Schema &schema, const Uuid &staff, const Uuid &service) {
    if (!was_ever_used(schema, "staff_skills")) return true;
    const pg::Rows skills = find_skills.run(schema, {pg::uuid(staff)});
    for (std::size_t i = 0; i < skills.size(); ++i)
        if (skills[i].uuid(0) == service) return true;
    return skills.empty();
}

bool has_time_off(const Schema &schema, const Uuid &staff, const TimeRange &range) {
    return was_ever_used(schema, "staff_time_off") &&
           find_time_off.run(schema, {pg::uuid(staff), pg::timestamptz(range.from), pg::timestamptz(range.until)})
                   .processed() > 0;
}

[[noreturn]] void refuse_customer(const Uuid &customer, const char *why) {
    throw Error(errc::unknown_reference, why, json::Object().add("customer_id", customer).text());
}

[[noreturn]] void refuse_staff(const ErrorCode &code, const char *message, const char *rule, const Location &location,
                               const Uuid &staff) {
    throw Error(code, message,
                json::Object().add("rule", rule).add("staff_id", staff).add("location_id", location.id).text());
}
} // namespace

void lock_customer(const Schema &schema, const Uuid &customer) {
    const pg::Rows rows = lock_profile.run(schema, {pg::uuid(customer)});
    if (rows.empty()) {
        // The first profile of a user has the id of that user and is made when it is first needed.
        if (identity::lock_user(customer) != identity::UserState::active)
            refuse_customer(customer, "customer not found");
        make_profile.run(schema, {pg::uuid(customer)});
        return;
    }
    const std::optional<Uuid> user = rows.front().optional_uuid(0);
    if (user && identity::lock_user(*user) != identity::UserState::active)
        refuse_customer(customer, "customer not found");
    if (!rows.front().boolean(1)) refuse_customer(customer, "customer is not active");
}

void lock_staff(const Schema &schema, const Location &location, const Uuid &staff, const Duty &duty) {
    constexpr const char *cannot = "staff member cannot take this booking";
    if (identity::lock_user(staff) != identity::UserState::active)
        refuse_staff(errc::staff_not_eligible, cannot, "unknown_or_inactive_user", location, staff);
    const pg::Rows assignment = lock_assignment.run(schema, {pg::uuid(location.id), pg::uuid(staff)});
    if (assignment.empty() || !access::has_role(staff, assignment.front().text(0), to_string(location.id)))
        refuse_staff(errc::staff_not_eligible, cannot, "not_assigned", location, staff);
    if (!is_skilled(schema, staff, duty.service))
        refuse_staff(errc::staff_not_eligible, cannot, "not_skilled", location, staff);
    constexpr const char *away = "staff member is not at work during the whole booking";
    if (has_time_off(schema, staff, duty.claimed))
        refuse_staff(errc::outside_hours, away, "staff_time_off", location, staff);
    const auto calendar = staff_calendar(schema, location.id, staff, assignment.front().uuid(1), Reading::locked);
    if (!covers(calendar, location.zone, duty.visible))
        refuse_staff(errc::outside_hours, away, "staff_hours", location, staff);
}

} // namespace usher::booking
