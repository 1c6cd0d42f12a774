// The statement trigger of bookings and of appointments: claims follow time, staff and status, whoever writes the rows.
#include "common/json_object.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/claims/claims.hpp"
#include "usher_booking/slots/index_plans.hpp"

namespace usher::booking {

namespace {
constinit Statement drop_claims{
    "DELETE FROM @.booking_claims AS c WHERE c.booking_id = ANY ($1) AND c.holder_id = ANY ($2)"};
constinit Statement drop_staff_claims{R"(
    DELETE
    FROM @.booking_claims AS c
    WHERE c.booking_id = ANY ($1) AND c.holder_id = ANY ($2) AND c.resource_kind = 'staff')"};
constinit Statement make_appointment{
    "INSERT INTO @.appointments (booking_id, practitioner_id, start_at) VALUES ($1, $2, $3)"};

// clang-format off
enum Field { id, booking, location, customer, service, staff, start_at, end_at, before, after, exclusive, occupies,
             overbooked, by_appointment, daily_limit, hold, status, field_count };
constexpr const char *booking_columns[field_count] = {
    "id", "id", "location_id", "customer_id", "service_id", "staff_id", "start_at", "end_at", "buffer_before",
    "buffer_after", "customer_exclusive", "occupies", "overbooked", "by_appointment", "daily_limit", "hold_expires_at",
    "status"};
constexpr const char *appointment_columns[field_count] = {
    "id", "booking_id", "location_id", "customer_id", nullptr, "practitioner_id", "start_at", "end_at", "buffer_before",
    "buffer_after", "customer_exclusive", "occupies", "overbooked", nullptr, nullptr, nullptr, "status"};
// clang-format on

constexpr Oid types[field_count] = {UUIDOID,        UUIDOID,        UUIDOID,     UUIDOID,        UUIDOID, UUIDOID,
                                    TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID, INTERVALOID,    BOOLOID, BOOLOID,
                                    BOOLOID,        BOOLOID,        INT4OID,     TIMESTAMPTZOID, TEXTOID};

struct Layout { // numbers of the columns, 0 for one that the table does not have
    Oid table = InvalidOid;
    std::uint64_t changes = 0; // when they were looked up
    std::array<int, field_count> numbers{};
};
constinit std::array<Layout, 2> layouts{};

const Layout &layout_of(Relation relation, bool is_booking) {
    Layout &layout = layouts[is_booking ? 0 : 1];
    const std::uint64_t now = pg::call([] { return pg::relation_changes(); });
    if (layout.table == RelationGetRelid(relation) && layout.changes == now) return layout;
    layout.table = InvalidOid;
    for (int i = 0; i < field_count; ++i) {
        const char *const name = (is_booking ? booking_columns : appointment_columns)[i];
        layout.numbers[i] = name == nullptr ? 0 : column_number(relation, name, types[i]);
    }
    layout.table = RelationGetRelid(relation);
    layout.changes = now;
    return layout;
}

struct PlainRow { // of a transition table; by-reference values are copies
    std::array<Datum, field_count> values;
    std::array<bool, field_count> nulls;
};

/// All rows of a transition table, read beside other readers of it. Plain frame.
PlainRow *read_rows(Tuplestorestate *store, TupleDesc desc, const Layout &layout, int &count) {
    count = 0;
    auto *const rows = static_cast<PlainRow *>(palloc(sizeof(PlainRow) * (tuplestore_tuple_count(store) + 1)));
    const int pointer = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);
    tuplestore_select_read_pointer(store, pointer);
    tuplestore_rescan(store);
    TupleTableSlot *const slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
    while (tuplestore_gettupleslot(store, true, false, slot)) {
        slot_getallattrs(slot);
        PlainRow &row = rows[count++];
        for (int i = 0; i < field_count; ++i) {
            const int number = layout.numbers[i];
            row.nulls[i] = number == 0 || slot->tts_isnull[number - 1];
            if (row.nulls[i]) continue;
            const Form_pg_attribute attribute = TupleDescAttr(desc, number - 1);
            row.values[i] = datumCopy(slot->tts_values[number - 1], attribute->attbyval, attribute->attlen);
        }
    }
    ExecDropSingleTupleTableSlot(slot);
    tuplestore_select_read_pointer(store, 0);
    return rows;
}

Holder holder_of(const PlainRow &row, bool is_booking) {
    for (const Field each :
         {id, booking, location, customer, start_at, end_at, before, after, exclusive, occupies, status})
        if (row.nulls[each])
            throw Error("23502", std::string("column ") + json::quote(booking_columns[each]) + " must not be null");
    Holder holder;
    holder.id = pg::uuid_of(row.values[id]);
    holder.booking = pg::uuid_of(row.values[booking]);
    holder.location = pg::uuid_of(row.values[location]);
    holder.customer = pg::uuid_of(row.values[customer]);
    if (!row.nulls[service]) holder.service = pg::uuid_of(row.values[service]);
    if (!row.nulls[staff]) holder.staff = pg::uuid_of(row.values[staff]);
    holder.visible = {pg::instant_of(row.values[start_at]), pg::instant_of(row.values[end_at])};
    holder.buffer_before = pg::microseconds_of(row.values[before]);
    holder.buffer_after = pg::microseconds_of(row.values[after]);
    holder.customer_exclusive = DatumGetBool(row.values[exclusive]);
    holder.occupies = DatumGetBool(row.values[occupies]);
    holder.waits = !holder.occupies && pg::text_of(row.values[status]) == (is_booking ? "pending" : "scheduled");
    holder.overbooked = !row.nulls[overbooked] && DatumGetBool(row.values[overbooked]);
    holder.by_appointment = !row.nulls[by_appointment] && DatumGetBool(row.values[by_appointment]);
    if (!row.nulls[hold]) holder.held_until = pg::instant_of(row.values[hold]);
    if (!row.nulls[daily_limit]) holder.daily_limit = DatumGetInt32(row.values[daily_limit]);
    return holder;
}

std::vector<Holder> holders_of(Tuplestorestate *store, Relation relation, const Layout &layout, bool is_booking) {
    int count = 0;
    const PlainRow *const rows = pg::call([&] { return read_rows(store, RelationGetDescr(relation), layout, count); });
    std::vector<Holder> holders;
    holders.reserve(count);
    for (int i = 0; i < count; ++i) holders.push_back(holder_of(rows[i], is_booking));
    return holders;
}

void drop(const Schema &schema, Statement &statement, const std::vector<Holder> &holders) {
    if (holders.empty()) return;
    std::vector<Uuid> ids, bookings;
    for (const Holder &each : holders) {
        ids.push_back(each.id);
        bookings.push_back(each.booking);
    }
    statement.run(schema, {pg::uuid_array(bookings), pg::uuid_array(ids)});
}

void note_overbooking(const Holder &holder) {
    const std::string resource = to_string(holder.booking);
    const std::string data = json::Object().add("location_id", holder.location).text();
    kit::AuditEvent event;
    event.event_type = "booking.overbooked";
    event.severity = "notice";
    event.data = data;
    event.resource_type = "booking";
    event.resource_id = resource;
    kit::log_event(event);
}

void after_insert(const Schema &schema, const std::vector<Holder> &holders, bool is_booking) {
    std::vector<Holder> fresh, waiting, guarded;
    for (const Holder &each : holders) {
        if (each.occupies) fresh.push_back(each);
        if (each.waits) waiting.push_back(each);
        if (each.occupies || (each.waits && each.daily_limit)) guarded.push_back(each); // the limit counts both
    }
    if (kit::is_restoring()) {
        place_claims(schema, fresh, false); // claims are not dumped; capacity may have been lowered since
        return;
    }
    take_guards(schema, guarded);
    place_claims(schema, fresh, true);
    for (const Holder &each : waiting) check_waiting(schema, each);
    if (!is_booking) return;
    for (const Holder &each : holders) {
        if (each.overbooked) note_overbooking(each);
        // Without a practitioner too: it is the appointment that takes a place.
        if (each.by_appointment)
            make_appointment.run(
                schema, {pg::uuid(each.booking), pg::uuid_or_null(each.staff), pg::timestamptz(each.visible.from)});
    }
}

void after_update(const Schema &schema, const std::vector<Holder> &before, const std::vector<Holder> &now,
                  bool is_booking) {
    if (before.size() != now.size()) throw Error("XX000", "internal error: an update lost a row");
    std::vector<Holder> placed, gone, unstaffed, kept, left, waiting;
    for (std::size_t i = 0; i < now.size(); ++i) { // old and new rows stand in the same order
        const Holder &old = before[i], &fresh = now[i];
        if (is_booking && fresh.overbooked && !old.overbooked) note_overbooking(fresh);
        const bool is_moved = !(old.visible == fresh.visible), is_given = old.staff != fresh.staff;
        if (old.held_until && !fresh.held_until && old.occupies && fresh.occupies) {
            kept.push_back(fresh);
            kept.back().held_until = old.held_until;
        }
        if (old.occupies == fresh.occupies && !is_moved && !is_given) continue;
        if (fresh.waits && (is_moved || fresh.staff)) waiting.push_back(fresh);
        if (old.occupies) left.push_back(old);
        if (!fresh.occupies)
            gone.push_back(fresh);
        else if (!old.occupies || is_moved || fresh.staff)
            placed.push_back(fresh);
        else
            unstaffed.push_back(fresh);
    }
    // Giving up time or a person needs no guard, taking does. Guards come first: somebody who waits for a claim that is
    // being given up here must not hold a guard that is still wanted here. Who takes guards what they give up as well:
    // two that want each other's time would wait for the ends of each other's old claims.
    std::vector<Holder> guarded = placed;
    guarded.insert(guarded.end(), kept.begin(), kept.end());
    take_guards(schema, guarded, placed.empty() ? std::vector<Holder>{} : left);
    // All old claims go before any new one comes: that lets one statement swap two bookings.
    gone.insert(gone.end(), placed.begin(), placed.end());
    drop(schema, drop_claims, gone);
    drop(schema, drop_staff_claims, unstaffed);
    place_claims(schema, placed, true);
    for (const Holder &each : waiting) check_waiting(schema, each);
    // Whoever came while it ran out has not counted it. One that holds still keeps its place, however few there are
    // now.
    for (const Holder &each : kept)
        if (!each.overbooked && *each.held_until <= pg::clock_time()) check_capacity(schema, each);
}

} // namespace

} // namespace usher::booking

/// Argument: the table, booking or appointment.
USHER_FUNCTION(usher_booking_claim) {
    using namespace usher;
    using namespace usher::booking;
    const auto fits = [](const TriggerData &each) {
        return TRIGGER_FIRED_FOR_STATEMENT(each.tg_event) && TRIGGER_FIRED_AFTER(each.tg_event) &&
               each.tg_newtable != nullptr &&
               (!TRIGGER_FIRED_BY_UPDATE(each.tg_event) || each.tg_oldtable != nullptr) &&
               each.tg_trigger->tgnargs == 1;
    };
    const TriggerData *const data =
        pg::require_trigger(fcinfo, fits, "AFTER INSERT OR UPDATE of a statement, with transition tables");
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    // ENABLE ALWAYS, for dumps; but claims of a replica come from its primary
    if (kit::is_restoring() && !kit::is_loading()) return Datum{0};
    if (tuplestore_tuple_count(data->tg_newtable) == 0) return Datum{0};
    const bool is_booking = std::strcmp(data->tg_trigger->tgargs[0], "booking") == 0;
    const Schema schema(fcinfo);
    require_table(data, schema, is_booking ? "bookings" : "appointments");
    const KeptPlansByIndex planning;
    const Layout &layout = layout_of(data->tg_relation, is_booking);
    const std::vector<Holder> now = holders_of(data->tg_newtable, data->tg_relation, layout, is_booking);
    if (is_update)
        after_update(schema, holders_of(data->tg_oldtable, data->tg_relation, layout, is_booking), now, is_booking);
    else
        after_insert(schema, now, is_booking);
    return Datum{0};
}
