#include "usher_booking/people/people.hpp"
#include "common/json_object.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/slots/facts.hpp"

namespace usher::booking {

namespace {
constinit Statement lock_profile{"SELECT c.user_id, c.is_active FROM @.customers AS c WHERE c.id = $1 FOR SHARE"};
constinit Statement make_profile{"INSERT INTO @.customers (id, user_id) VALUES ($1, $1) ON CONFLICT DO NOTHING"};

// FOR SHARE: whoever takes the staff member off the location, or changes their hours, waits for this booking, and then
// sees it. What depends on the row is asked in a statement of its own, after the wait.
constinit Statement lock_assignment{R"(
    SELECT ls.role, ls.hours_version
    FROM @.location_staff AS ls
    WHERE ls.location_id = $1 AND ls.staff_id = $2 AND ls.is_active AND ls.bookable FOR SHARE)"};
constinit Statement find_time_off{R"(
    SELECT pg_catalog.lower(t.during), pg_catalog.upper(t.during)
    FROM @.staff_time_off AS t
    WHERE t.staff_id = $1 AND t.during OPERATOR(pg_catalog.&&) pg_catalog.tstzrange($2, $3))"};

std::vector<TimeRange> read_time_off(const Schema &schema, const Uuid &staff, const TimeRange &range) {
    std::vector<TimeRange> off;
    if (!was_ever_used(schema, "staff_time_off")) return off;
    const pg::Rows rows =
        find_time_off.run(schema, {pg::uuid(staff), pg::timestamptz(range.from), pg::timestamptz(range.until)});
    for (std::size_t i = 0; i < rows.size(); ++i) // from minus or plus infinity where it has no end
        off.push_back({rows[i].optional_time(0).value_or(INT64_MIN), rows[i].optional_time(1).value_or(INT64_MAX)});
    return hours::merge(std::move(off));
}

/// Holds the user and the assignment until the end of the transaction. Claims of others are left to the constraint.
slots::Staff lock_facts(const Schema &schema, const Location &location, const Uuid &id, const slots::Duty &duty) {
    slots::Staff staff;
    staff.id = id;
    staff.is_active = kit::lock_user(id) == kit::UserState::active;
    const pg::Rows assignment = lock_assignment.run(schema, {pg::uuid(location.id), pg::uuid(id)});
    staff.is_assigned = !assignment.empty() && kit::has_role(id, assignment.front().text(0), to_string(location.id));
    if (!staff.is_active || !staff.is_assigned) return staff; // the rest is not asked then
    staff.skills = read_skills(schema, id);
    staff.away = read_time_off(schema, id, duty.claimed);
    const auto calendar = staff_calendar(schema, location.id, id, assignment.front().uuid(1), Reading::locked);
    if (calendar) {
        const std::shared_ptr<const Zone> zone = zone_named(location.zone, duty.visible);
        staff.at_work = hours::merge(hours::open_periods(*calendar, *zone, duty.visible, pg::poll));
    }
    return staff;
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

std::optional<Uuid> lock_customer(const Schema &schema, const Uuid &customer) {
    const pg::Rows rows = lock_profile.run(schema, {pg::uuid(customer)});
    if (rows.empty()) {
        // The first profile of a user has the id of that user and is made when it is first needed.
        if (kit::lock_user(customer) != kit::UserState::active) refuse_customer(customer, "customer does not exist");
        make_profile.run(schema, {pg::uuid(customer)});
        return customer;
    }
    const std::optional<Uuid> user = rows.front().optional_uuid(0);
    if (user && kit::lock_user(*user) != kit::UserState::active) refuse_customer(customer, "customer does not exist");
    if (!rows.front().boolean(1)) refuse_customer(customer, "customer is not active");
    return user;
}

void lock_staff(const Schema &schema, const Location &location, const Uuid &staff, const slots::Duty &duty) {
    constexpr const char *cannot = "staff member cannot take this booking";
    constexpr const char *away = "staff member is not at work during the whole booking";
    const auto refuse = [&](const ErrorCode &code, const char *message, const char *rule) {
        refuse_staff(code, message, rule, location, staff);
    };
    const std::optional<slots::StaffRule> broken = slots::first_broken(lock_facts(schema, location, staff, duty), duty);
    if (!broken) return;
    switch (*broken) {
    case slots::StaffRule::active_user: refuse(errc::staff_not_eligible, cannot, "unknown_or_inactive_user"); break;
    case slots::StaffRule::assigned: refuse(errc::staff_not_eligible, cannot, "not_assigned"); break;
    case slots::StaffRule::skilled: refuse(errc::staff_not_eligible, cannot, "not_skilled"); break;
    case slots::StaffRule::time_off: refuse(errc::outside_hours, away, "staff_time_off"); break;
    case slots::StaffRule::hours: refuse(errc::outside_hours, away, "staff_hours"); break;
    case slots::StaffRule::free: break; // nobody has asked
    }
}

} // namespace usher::booking
