#include "usher_booking/bookings/create_booking.hpp"
#include "common/json_object.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/bookings/service_terms.hpp"
#include "usher_booking/claims/claims.hpp"
#include "usher_booking/opening_hours/zones.hpp"
#include "usher_booking/people/location_permissions.hpp"
#include "usher_booking/people/people.hpp"
#include "usher_booking/slots/facts.hpp"

namespace usher::booking {

namespace {
constinit Statement insert_booking{R"(
    INSERT INTO @.bookings (id, customer_id, service_id, location_id, start_at, staff_id, vehicle_info,
                            special_instructions, overbooked, series_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10))"};
constinit Statement confirm{R"(
    UPDATE @.bookings AS b SET status = 'confirmed' WHERE b.id = $1 AND NOT @._lacks_staff(pg_catalog.to_jsonb(b)))"};
#define RECEIPT                                                                                                        \
    "SELECT b.id AS booking_id, b.status, b.start_at, b.end_at, b.staff_id, b.price_minor, b.currency,"                \
    " b.hold_expires_at, b.version, false AS replayed FROM @.bookings AS b WHERE b.id = "
constinit Statement read_receipt{RECEIPT "$1"};

constinit Statement replay{R"(
    SELECT r.*
    FROM (SELECT usher.replay_call('usher_booking', $1, pg_catalog.jsonb_build_object('function', 'create_booking',
                                                             'customer_id', $2, 'service_id', $3, 'location_id', $4,
                                                             'start_at', $5, 'staff_id', $6, 'staff_policy', $7,
                                                             'vehicle_info', $8, 'special_instructions', $9, 'id', $10,
                                                             'overbook', $11)) AS answer) AS stored,
         LATERAL pg_catalog.jsonb_populate_record(NULL::@.booking_receipt, stored.answer) AS r
    WHERE stored.answer IS NOT NULL)"};
constinit Statement remember{"SELECT usher.remember_call('usher_booking', $2, pg_catalog.to_jsonb(r)) FROM (" RECEIPT
                             "$1) AS r"};

// Spans and instants as jsonb writes them.
constinit Statement describe_start{R"(
    SELECT pg_catalog.jsonb_build_object(
        'rule', $3, $4, CASE $4 WHEN 'min_notice' THEN s.min_notice WHEN 'horizon' THEN s.horizon ELSE s.slot_step END,
        'start_at', $2)::pg_catalog.text
    FROM @.services AS s
    WHERE s.id = $1)"};
constinit Statement describe_nobody{R"(
    SELECT pg_catalog.jsonb_build_object('rule', 'no_staff_free', 'location_id', $1,
                                         'start_at', $2)::pg_catalog.text)"};

std::optional<ServiceTerms> find_service(const Schema &schema, const Uuid &service, const Uuid &location) {
    const pg::Rows rows = read_terms(schema, service, location, Reading::locked);
    if (rows.empty()) return std::nullopt;
    const pg::Row row = rows.front();
    return ServiceTerms{
        .id = service,
        .terms = terms_of(row),
        .is_active = row.boolean(service_is_active),
        .auto_confirm = row.boolean(term_auto_confirm),
        .needs_staff = row.boolean(term_needs_staff),
        .has_open_location = row.boolean(location_is_active),
        .rows = rows,
    };
}

/// The service, when it and the location are active.
ServiceTerms require_bookable(const Schema &schema, const Uuid &service, const Uuid &location) {
    const std::optional<ServiceTerms> found = find_service(schema, service, location);
    if (!found || !found->is_active)
        throw Error(errc::unknown_reference, "service does not exist or is not active",
                    json::Object().add("service_id", service).text());
    if (!found->has_open_location)
        throw Error(errc::unknown_reference, "location does not exist or is not active",
                    json::Object().add("location_id", location).text());
    return *found;
}

[[noreturn]] void refuse_start(const Schema &schema, const ServiceTerms &service, Instant start, const ErrorCode &code,
                               const char *message, const char *rule, const char *term) {
    const pg::Rows detail =
        describe_start.run(schema, {pg::uuid(service.id), pg::timestamptz(start), pg::text(rule), pg::text(term)});
    throw Error(code, message, detail.empty() ? "" : detail.front().string(0));
}

bool is_on_grid(const Schema &schema, const Uuid &location_id, Instant start, std::int64_t step) {
    const std::optional<Location> location = find_location(schema, location_id, Reading::plain);
    if (!location) return true; // the trigger says so
    const TimeRange instant{start, start + 1};
    const std::vector<TimeRange> periods = hours::open_periods(*location_calendar(schema, *location, Reading::plain),
                                                               *zone_named(location->zone, instant), instant, pg::poll);
    return periods.empty() || slots::on_grid(periods, start, step); // while it is closed there is no grid to be off
}

void insert(const Schema &schema, const NewBooking &booking, const ServiceTerms &service,
            const std::optional<Uuid> &staff) {
    const HandedTerms handed(service.id, booking.location, service.rows);
    // the columns of insert_booking
    static constexpr std::array columns{"id",       "customer_id",  "service_id",           "location_id", "start_at",
                                        "staff_id", "vehicle_info", "special_instructions", "overbooked",  "series_id"};
    const std::array row{pg::uuid(booking.id),
                         pg::uuid(booking.customer),
                         pg::uuid(service.id),
                         pg::uuid(booking.location),
                         pg::timestamptz(booking.start),
                         pg::uuid_or_null(staff),
                         booking.vehicle_info,
                         pg::text_or_null(booking.instructions),
                         pg::boolean(booking.is_overbooked),
                         pg::uuid_or_null(booking.series)};
    static_assert(columns.size() == std::tuple_size_v<decltype(row)>);
    const Oid table = pg::call([&] { return get_relname_relid("bookings", schema.oid()); });
    if (!pg::insert_with_triggers(table, columns, row)) insert_booking.run(schema, row);
}

/// Who could do it, in the order in which they are chosen. What others have booked is read as it is now.
std::vector<slots::Staff> read_choice(const Schema &schema, const Location &location, const slots::Duty &duty) {
    const TimeRange around = slots::load_range(duty);
    const std::shared_ptr<const Zone> zone = zone_named(location.zone, around);
    return slots::choice(read_staff(schema, {location, duty.service, std::nullopt, around, *zone}, Reading::locked),
                         duty);
}

/// Would nobody else help? It is the customer who has another booking, or the place that is full.
bool is_not_about_staff(const Schema &schema, const std::string &code, const Uuid &customer, const TimeRange &visible) {
    if (code != errc::slot_taken.sqlstate && code != errc::outside_hours.sqlstate &&
        code != errc::staff_not_eligible.sqlstate)
        return true;
    return !slots::is_free(read_busy(schema, "customer", customer, visible, std::nullopt, Reading::locked), visible);
}

/// Takes the first of those who are free; the next when somebody else was quicker.
void insert_with_somebody(const Schema &schema, const NewBooking &booking, const ServiceTerms &service) {
    const slots::Duty duty = slots::duty_at(booking.start, service.terms, service.id);
    const std::optional<Location> location = find_location(schema, booking.location, Reading::plain);
    if (!location || !is_open(schema, *location, duty.visible, Reading::plain))
        throw Error(errc::outside_hours, "location is not open during the whole booking",
                    json::Object().add("rule", "location_hours").add("location_id", booking.location).text());
    lock_customer(schema, booking.customer);
    // Before anybody is chosen, so that two choices cannot fall on the same person.
    take_location_guards(schema, booking.location, {duty.visible});
    for (const slots::Staff &candidate : read_choice(schema, *location, duty)) {
        const pg::Refusal refusal = pg::attempt([&] { insert(schema, booking, service, candidate.id); });
        if (!refusal) return;
        // Booked at another location a moment ago, or no longer eligible: try the next.
        if (is_not_about_staff(schema, refusal.sqlstate(), booking.customer, duty.visible))
            pg::call([&] { ReThrowError(const_cast<ErrorData *>(refusal.error)); });
    }
    const pg::Rows detail = describe_nobody.run(schema, {pg::uuid(booking.location), pg::timestamptz(booking.start)});
    throw Error(errc::slot_taken, "nobody is free at this time", detail.front().string(0));
}

slots::Asker asker_of(bool by_manager) { return by_manager ? slots::Asker::manager : slots::Asker::customer; }

[[noreturn]] void refuse_argument(const char *message, const char *argument) {
    throw Error(errc::invalid_argument, message, json::Object().add("argument", argument).text());
}

Instant start_argument(const pg::Args &args, int i) {
    const Instant start = args.time(i);
    if (TIMESTAMP_NOT_FINITE(pg::timestamp_of(start))) refuse_argument("start_at must be an instant", "start_at");
    return start;
}

pg::Param json_argument(FunctionCallInfo fcinfo, int i) {
    return fcinfo->args[i].isnull ? pg::null(JSONBOID) : pg::datum(JSONBOID, fcinfo->args[i].value);
}

Datum receipt(FunctionCallInfo fcinfo, const pg::Row &row, bool is_replayed) {
    const auto time_or_null = [&](int column) { return pg::timestamptz_or_null(row.optional_time(column)); };
    pg::RowBuilder built(fcinfo);
    built.set("booking_id", pg::uuid_or_null(row.optional_uuid(0)));
    built.set("status", pg::text_or_null(row.optional_text(1)));
    built.set("start_at", time_or_null(2)).set("end_at", time_or_null(3));
    built.set("staff_id", pg::uuid_or_null(row.optional_uuid(4)));
    if (!row.is_null(5)) built.set("price_minor", pg::int8(row.int8(5)));
    built.set("currency", pg::text_or_null(row.optional_text(6))).set("hold_expires_at", time_or_null(7));
    if (!row.is_null(8)) built.set("version", pg::int4(row.int4(8)));
    return built.set("replayed", pg::boolean(is_replayed)).finish();
}

enum Argument { customer, service, location, start_at, staff, staff_policy, vehicle, instructions, id, key, overbook };
} // namespace

void check_start(const Schema &schema, const ServiceTerms &service, const Uuid &location, Instant start,
                 slots::Asker asker) {
    const slots::Starts allowed = slots::allowed_starts(service.terms, pg::clock_time(), asker);
    if (start < allowed.first)
        refuse_start(schema, service, start, errc::notice_or_horizon, "the start is too soon", "min_notice",
                     "min_notice");
    if (start > allowed.last)
        refuse_start(schema, service, start, errc::notice_or_horizon, "the start is too far ahead", "horizon",
                     "horizon");
    if (asker == slots::Asker::customer && !is_on_grid(schema, location, start, service.terms.step))
        refuse_start(schema, service, start, errc::not_on_slot_grid, "no slot begins at this time", "slot_grid",
                     "slot_step");
}

void make_booking(const Schema &schema, const NewBooking &booking, const ServiceTerms &service) {
    if (booking.staff || !booking.chooses_staff || !service.needs_staff)
        insert(schema, booking, service, booking.staff);
    else
        insert_with_somebody(schema, booking, service);
    if (service.auto_confirm) confirm.run(schema, {pg::uuid(booking.id)});
}

} // namespace usher::booking

using namespace usher;
using namespace usher::booking;

/// create_booking(customer_id, service_id, location_id, start_at, staff_id, staff_policy, vehicle_info,
/// special_instructions, id, idempotency_key, overbook)
USHER_FUNCTION(usher_booking_create) {
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const std::optional<Uuid> actor = kit::current_user();
    for (const auto &[argument, name] : {std::pair(service, "service_id"), std::pair(location, "location_id"),
                                         std::pair(start_at, "start_at"), std::pair(customer, "customer_id")})
        if (args.is_null(argument) && !(argument == customer && actor))
            refuse_argument("service_id, location_id, start_at and a customer are needed", name);
    const std::string_view policy = args.optional_text(staff_policy).value_or("");
    if (policy != "any" && policy != "none") refuse_argument("staff_policy must be any or none", "staff_policy");

    NewBooking wanted;
    wanted.customer = args.is_null(customer) ? *actor : args.uuid(customer);
    wanted.location = args.uuid(location);
    wanted.staff = args.optional_uuid(staff);
    wanted.chooses_staff = policy == "any";
    wanted.vehicle_info = json_argument(fcinfo, vehicle);
    wanted.instructions = args.optional_text(instructions);
    wanted.is_overbooked = !args.is_null(overbook) && args.boolean(overbook);
    const Uuid service_id = args.uuid(service);
    const slots::Asker asker = asker_of(books_for_others(schema, wanted.customer, wanted.location));
    const std::optional<std::string_view> repeat_key = args.optional_text(key);
    if (repeat_key) {
        const pg::Rows stored =
            replay.run(schema, {pg::text(*repeat_key), pg::uuid(wanted.customer), pg::uuid(service_id),
                                pg::uuid(wanted.location), pg::datum(TIMESTAMPTZOID, fcinfo->args[start_at].value),
                                pg::uuid_or_null(wanted.staff), pg::text(policy), wanted.vehicle_info,
                                pg::text_or_null(wanted.instructions), pg::uuid_or_null(args.optional_uuid(id)),
                                args.is_null(overbook) ? pg::null(BOOLOID) : pg::boolean(wanted.is_overbooked)});
        if (!stored.empty()) return receipt(fcinfo, stored.front(), true);
    }
    const ServiceTerms terms = require_bookable(schema, service_id, wanted.location);
    wanted.start = start_argument(args, start_at);
    check_start(schema, terms, wanted.location, wanted.start, asker);
    wanted.id = args.is_null(id) ? pg::new_uuid() : args.uuid(id);
    make_booking(schema, wanted, terms);
    if (repeat_key) remember.run(schema, {pg::uuid(wanted.id), pg::text(*repeat_key)});
    const pg::Rows made = read_receipt.run(schema, {pg::uuid(wanted.id)}); // whatever handlers of its event did to it
    if (made.empty()) return pg::null_result(fcinfo);
    return receipt(fcinfo, made.front(), false);
}

/// _make_booking(id, customer_id, service_id, location_id, start_at, staff_id, staff_policy, vehicle_info,
/// special_instructions, series_id)
USHER_FUNCTION(usher_booking_make) {
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    NewBooking wanted;
    wanted.id = args.uuid(0);
    wanted.customer = args.uuid(1);
    wanted.location = args.uuid(3);
    wanted.start = start_argument(args, 4);
    wanted.staff = args.optional_uuid(5);
    wanted.chooses_staff = args.text(6) == "any";
    wanted.vehicle_info = json_argument(fcinfo, 7);
    wanted.instructions = args.optional_text(8);
    wanted.series = args.optional_uuid(9);
    make_booking(schema, wanted, require_bookable(schema, args.uuid(2), wanted.location));
    return pg::null_result(fcinfo);
}

/// _check_start(service_id, location_id, start_at, by_manager)
USHER_FUNCTION(usher_booking_check_start) {
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid service_id = args.uuid(0), location_id = args.uuid(1);
    const std::optional<ServiceTerms> terms = find_service(schema, service_id, location_id);
    if (!terms)
        throw Error(errc::unknown_reference, "service does not exist",
                    json::Object().add("service_id", service_id).text());
    check_start(schema, *terms, location_id, start_argument(args, 2), asker_of(args.boolean(3)));
    return pg::null_result(fcinfo);
}

/// _require_bookable(service_id, location_id)
USHER_FUNCTION(usher_booking_require_bookable) {
    const pg::Args args(fcinfo);
    require_bookable(Schema(fcinfo), args.uuid(0), args.uuid(1));
    return pg::null_result(fcinfo);
}

/// _guard_location(location_id uuid, starts timestamptz[], duration interval)
USHER_FUNCTION(usher_booking_guard_location) {
    const pg::Args args(fcinfo);
    const std::int64_t duration = args.interval_us(2);
    std::vector<TimeRange> ranges;
    int count = 0;
    const Datum *const starts = pg::call([&] {
        ArrayType *const array = PG_GETARG_ARRAYTYPE_P(1);
        if (array_contains_nulls(array))
            ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("starts must not contain nulls"));
        Datum *values;
        deconstruct_array(array, TIMESTAMPTZOID, sizeof(TimestampTz), true, TYPALIGN_DOUBLE, &values, nullptr, &count);
        return static_cast<const Datum *>(values);
    });
    for (int i = 0; i < count; ++i) {
        const Instant start = pg::instant_of(starts[i]);
        if (TIMESTAMP_NOT_FINITE(start)) refuse_argument("starts must be instants, and not too far away", "starts");
        ranges.push_back({start, start + duration});
    }
    take_location_guards(Schema(fcinfo), args.uuid(0), ranges);
    return pg::null_result(fcinfo);
}
