// explain_slot(): the rules that create_booking() keeps, one row each.
#include "common/json_object.hpp"
#include "usher_booking/bookings/service_terms.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/people/location_permissions.hpp"
#include "usher_booking/slots/facts.hpp"

namespace usher::booking {

namespace {
// Spans and wall times as jsonb writes them.
constinit Statement describe_terms{R"(
    SELECT pg_catalog.jsonb_build_object('min_notice', s.min_notice),
           pg_catalog.jsonb_build_object('horizon', s.horizon),
           pg_catalog.jsonb_build_object('slot_step', s.slot_step),
           pg_catalog.jsonb_build_object('local_start', pg_catalog.timezone(l.time_zone, $3), 'time_zone', l.time_zone)
    FROM @.services AS s, @.locations AS l
    WHERE s.id = $1 AND l.id = $2)",
                                   pg::Access::read};

struct Asked {
    Uuid location, service;
    Instant start = 0;
    std::optional<Uuid> staff, customer;
};

class Explanation {
public:
    Explanation(FunctionCallInfo fcinfo, const Schema &schema, const Asked &asked)
        : rows_(fcinfo),
          schema_(schema),
          asked_(asked),
          location_(find_location(schema, asked.location, Reading::plain)),
          terms_rows_(read_terms(schema, asked.service, asked.location, Reading::plain)) {}

    Datum finish() {
        explain_offer();
        if (location_ && !terms_rows_.empty()) {
            terms_ = terms_of(terms_rows_.front());
            duty_ = slots::duty_at(asked_.start, terms_, asked_.service);
            explain_start();
            explain_places();
            if (asked_.staff)
                explain_staff();
            else
                explain_choice();
            if (asked_.customer) explain_customer();
        }
        return rows_.finish();
    }

private:
    void add(const char *rule, bool ok, const pg::Param &detail) {
        rows_.add({pg::text(rule), pg::boolean(ok), detail});
    }
    void add(const char *rule, bool ok, const json::Object &detail) {
        const std::string text = detail.text();
        add(rule, ok, pg::jsonb(text));
    }

    void explain_offer() {
        const bool is_known = !terms_rows_.empty();
        add("service", is_known && terms_rows_.front().boolean(service_is_active),
            json::Object().add("service_id", asked_.service));
        add("location", location_ && location_->is_active, json::Object().add("location_id", asked_.location));
        add("service_at_location", is_known && terms_rows_.front().boolean(is_offered),
            json::Object().add("location_id", asked_.location).add("service_id", asked_.service));
    }

    void explain_start() {
        const pg::Rows rows = describe_terms.run(
            schema_, {pg::uuid(asked_.service), pg::uuid(asked_.location), pg::timestamptz(asked_.start)});
        const pg::Row detail = rows.front();
        const slots::Starts allowed = slots::allowed_starts(terms_, pg::clock_time(), slots::Asker::customer);
        add("min_notice", asked_.start >= allowed.first, detail.param(0));
        add("horizon", asked_.start <= allowed.last, detail.param(1));
        const auto calendar = location_calendar(schema_, *location_, Reading::plain);
        const std::vector<TimeRange> periods =
            hours::open_periods(*calendar, *zone_named(location_->zone, duty_.visible), duty_.visible, pg::poll);
        add("location_hours", hours::covers(hours::merge(periods), duty_.visible), detail.param(3));
        add("slot_grid", slots::on_grid(periods, asked_.start, terms_.step), detail.param(2));
    }

    void explain_places() {
        const Places places =
            read_places(schema_, {.location = asked_.location, .range = duty_.visible, .without = {}}, Reading::plain);
        const int free = slots::free_places(location_->places, slots::Occupancy(places.taken), duty_.visible);
        add("capacity", free > 0,
            json::Object()
                .add("peak", std::int64_t{location_->places - free})
                .add("places", std::int64_t{location_->places}));
    }

    std::vector<slots::Staff> staff() {
        const TimeRange around = slots::load_range(duty_);
        const std::shared_ptr<const Zone> zone = zone_named(location_->zone, around);
        return read_staff(schema_, {*location_, asked_.service, asked_.staff, around, *zone}, Reading::plain);
    }

    void explain_choice() {
        std::string ids;
        for (const slots::Staff &each : slots::choice(staff(), duty_))
            ids += (ids.empty() ? "\"" : ",\"") + to_string(each.id) + '"';
        const bool ok = !ids.empty() || !terms_rows_.front().boolean(term_needs_staff);
        const std::string detail = R"({"staff_ids":[)" + ids + "]}";
        add("staff_free", ok, pg::jsonb(detail));
    }

    void explain_staff() {
        const slots::Staff named = staff().front();
        const auto add_rule = [&](const char *name, slots::StaffRule rule) {
            add(name, slots::keeps(named, rule, duty_), json::Object().add("staff_id", *asked_.staff));
        };
        add_rule("staff_assigned", slots::StaffRule::assigned);
        add_rule("staff_skilled", slots::StaffRule::skilled);
        add_rule("staff_hours", slots::StaffRule::hours);
        add_rule("staff_time_off", slots::StaffRule::time_off);
        add_rule("staff_free", slots::StaffRule::free);
    }

    void explain_customer() {
        const pg::Row terms = terms_rows_.front();
        const bool ok =
            !terms.boolean(term_customer_exclusive) ||
            slots::is_free(read_busy(schema_, "customer", *asked_.customer, duty_.visible, {}, Reading::plain),
                           duty_.visible);
        add("customer_free", ok, json::Object().add("customer_id", *asked_.customer));
        const std::shared_ptr<const Zone> zone = zone_named(location_->zone, duty_.visible);
        const int booked = count_of_day(
            schema_,
            {*asked_.customer, asked_.service, asked_.location, zone->day(zone->date_of(asked_.start)), std::nullopt},
            Reading::plain);
        std::optional<int> limit;
        if (!terms.is_null(term_daily_limit)) limit = terms.int4(term_daily_limit);
        const std::string detail =
            R"({"limit":)" + (limit ? std::to_string(*limit) : "null") + R"(,"booked":)" + std::to_string(booked) + '}';
        add("daily_limit", slots::is_within_limit(limit, booked), pg::jsonb(detail));
    }

    pg::RowSet rows_;
    const Schema &schema_;
    const Asked &asked_;
    const std::optional<Location> location_;
    const pg::Rows terms_rows_;
    slots::Terms terms_;
    slots::Duty duty_;
};

[[noreturn]] void refuse_argument(const char *argument) {
    throw Error(errc::invalid_argument, "location_id, service_id and start_at are needed",
                json::Object().add("argument", argument).text());
}

Asked asked(const pg::Args &args) {
    for (const auto &[i, name] : {std::pair(0, "location_id"), std::pair(1, "service_id"), std::pair(2, "start_at")})
        if (args.is_null(i)) refuse_argument(name);
    const Asked asked{args.uuid(0), args.uuid(1), args.time(2), args.optional_uuid(3), args.optional_uuid(4)};
    if (TIMESTAMP_NOT_FINITE(pg::timestamp_of(asked.start))) refuse_argument("start_at");
    return asked;
}
} // namespace

} // namespace usher::booking

/// explain_slot(location_id, service_id, start_at, staff_id, customer_id)
USHER_FUNCTION(usher_booking_explain_slot) {
    using namespace usher;
    using namespace usher::booking;
    const Schema schema(fcinfo);
    const Asked question = asked(pg::Args(fcinfo));
    if (question.customer && !is_own_customer(schema, *question.customer) &&
        !may(schema, "booking:manage", question.location))
        throw Error(errc::not_permitted, "permission \"booking:manage\" is needed to ask about somebody else",
                    json::Object().add("permission", "booking:manage").text());
    return Explanation(fcinfo, schema, question).finish();
}
