// The row trigger of bookings: takes the terms from the service, and checks what one row can show. It runs for every
// writer. What several bookings decide together (claims, capacity) is in claims.cpp.
#include "common/json_object.hpp"
#include "usher_booking/booking_kit.hpp"
#include "usher_booking/bookings/booking_payments.hpp"
#include "usher_booking/bookings/booking_row.hpp"
#include "usher_booking/bookings/service_terms.hpp"
#include "usher_booking/people/location_permissions.hpp"
#include "usher_booking/people/people.hpp"

namespace usher::booking {

namespace {
[[noreturn]] void refuse_reference(const char *message, const char *key, const Uuid &id) {
    throw Error(errc::unknown_reference, message, json::Object().add(key, id).text());
}

constexpr Column payment_columns[] = {Column::paid_at, Column::payment_method, Column::payment_transaction,
                                      Column::paid_minor, Column::discount_minor};

class Check {
public:
    Check(const Schema &schema, BookingRow &row) : schema_(schema), now_(row) {}

    void insert() {
        const Uuid location_id = now_.uuid(Column::location_id), service_id = now_.uuid(Column::service_id);
        const pg::Rows *const handed = HandedTerms::take(service_id, location_id);
        const std::optional<Location> location = find_location(schema_, location_id, Reading::locked);
        take_terms(service_id,
                   handed != nullptr ? *handed : read_terms(schema_, service_id, location_id, Reading::locked));
        if (!location || !location->is_active)
            refuse_reference("location does not exist or is not active", "location_id", location_id);
        if (!is_offered_)
            throw Error(errc::unknown_reference, "service is not offered at this location",
                        json::Object().add("service_id", service_id).add("location_id", location_id).text());
        const std::optional<Uuid> account = lock_customer(schema_, now_.uuid(Column::customer_id));
        now_.set(Column::customer_user_id, pg::uuid_or_null(account ? &*account : nullptr));
        place(*location, now_.is_null(Column::end_at) ? std::nullopt : std::optional(now_.time(Column::end_at)), true);
        if (now_.boolean(Column::overbooked)) require_overbooking(location_id);
        for (const Column column : payment_columns) {
            const bool is_sum = column == Column::paid_minor || column == Column::discount_minor;
            if (!now_.is_null(column) && (!is_sum || DatumGetInt64(now_.datum(column)) != 0)) refuse_payment();
        }
        const std::optional<Uuid> actor = kit::current_user();
        now_.set(Column::created_by, pg::uuid_or_null(actor ? &*actor : nullptr));
        now_.set(Column::created_at, pg::timestamptz(pg::transaction_time()));
        now_.set(Column::updated_at, pg::timestamptz(pg::transaction_time()));
        now_.set(Column::version, pg::int4(1));
    }

    void update(const BookingRow &before) {
        for (const Column fixed :
             {Column::id, Column::customer_id, Column::customer_user_id, Column::prepay_minor, Column::service_id,
              Column::location_id, Column::created_at, Column::duration, Column::by_appointment})
            if (now_.differs(before, fixed))
                throw Error(errc::invalid_argument,
                            "customer, service, location and duration of a booking cannot change",
                            json::Object().add("booking_id", before.uuid(Column::id)).text());
        const bool is_moved = now_.differs(before, Column::start_at) || now_.differs(before, Column::end_at);
        const bool is_given = now_.differs(before, Column::staff_id);
        const std::string_view status = before.text(Column::status);
        if (is_moved || (is_given && !now_.is_null(Column::staff_id))) {
            if (status != "pending" && status != "confirmed")
                throw Error(errc::illegal_transition,
                            "only a pending or confirmed booking can be moved or given to somebody else",
                            json::Object().add("booking_id", before.uuid(Column::id)).add("status", status).text());
            buffers_ = {now_.interval_us(Column::buffer_before), now_.interval_us(Column::buffer_after)};
            duration_ = now_.interval_us(Column::duration);
            by_appointment_ = now_.boolean(Column::by_appointment);
            const std::optional<Location> location =
                find_location(schema_, now_.uuid(Column::location_id), Reading::locked);
            if (!location) refuse_reference("location does not exist", "location_id", now_.uuid(Column::location_id));
            const bool keeps_end = now_.is_null(Column::end_at) || !now_.differs(before, Column::end_at);
            place(*location, keeps_end ? std::nullopt : std::optional(now_.time(Column::end_at)), is_moved);
        }
        if (now_.boolean(Column::overbooked) && !before.boolean(Column::overbooked))
            require_overbooking(now_.uuid(Column::location_id));
        for (const Column column : payment_columns)
            if (now_.differs(before, column) && !payment_handler_runs()) refuse_payment();
        if (now_.differs(before, Column::status)) note_status(now_.text(Column::status));
    }

private:
    void take_terms(const Uuid &service_id, const pg::Rows &rows) {
        if (rows.empty() || !rows.front().boolean(service_is_active))
            refuse_reference("service does not exist or is not active", "service_id", service_id);
        const pg::Row terms = rows.front();
        duration_ = terms.interval_us(term_duration);
        buffers_ = {terms.interval_us(term_buffer_before), terms.interval_us(term_buffer_after)};
        now_.set(Column::duration, terms.param(term_duration));
        now_.set(Column::buffer_before, terms.param(term_buffer_before));
        now_.set(Column::buffer_after, terms.param(term_buffer_after));
        now_.set(Column::service_name, terms.param(term_name));
        if (now_.is_null(Column::price_minor)) now_.set(Column::price_minor, terms.param(term_price));
        if (now_.is_null(Column::currency)) now_.set(Column::currency, terms.param(term_currency));
        // In advance: all of the price that it is booked at, or the deposit, never more than that.
        const std::int64_t price =
            now_.is_null(Column::price_minor) ? terms.int8(term_price) : DatumGetInt64(now_.datum(Column::price_minor));
        const std::string_view prepayment = terms.text(term_prepayment);
        now_.set(Column::prepay_minor, pg::int8(prepayment == "full"      ? price
                                                : prepayment == "deposit" ? std::min(terms.int8(term_deposit), price)
                                                                          : 0));
        now_.set(Column::pending_blocks, terms.param(term_pending_blocks));
        now_.set(Column::auto_confirm, terms.param(term_auto_confirm));
        now_.set(Column::needs_staff, terms.param(term_needs_staff));
        now_.set(Column::customer_exclusive, terms.param(term_customer_exclusive));
        by_appointment_ = terms.boolean(term_by_appointment);
        now_.set(Column::by_appointment, terms.param(term_by_appointment));
        const bool holds =
            !terms.is_null(term_hold_ttl) && !now_.is_null(Column::status) && now_.text(Column::status) == "pending";
        now_.set(Column::hold_expires_at, holds ? pg::timestamptz(pg::clock_time() + terms.interval_us(term_hold_ttl))
                                                : pg::null(TIMESTAMPTZOID));
        now_.set(Column::daily_limit, terms.param(term_daily_limit));
        is_offered_ = terms.boolean(is_offered);
    }

    /// The end follows from the start. Hours of location and staff, and whether this staff member can do it.
    void place(const Location &location, std::optional<Instant> end, bool is_moved) {
        const Instant start = now_.time(Column::start_at);
        if (TIMESTAMP_NOT_FINITE(start))
            throw Error(errc::invalid_argument, "start_at must be an instant, and not too far away",
                        R"({"argument":"start_at"})");
        const TimeRange visible{start, start + duration_};
        if (end && *end != visible.until)
            throw Error(errc::invalid_argument, "end_at must be start_at plus the duration of the service",
                        R"({"argument":"end_at"})");
        now_.set(Column::end_at, pg::timestamptz(visible.until));
        if (is_moved && !is_open(schema_, location, visible, Reading::locked))
            throw Error(errc::outside_hours, "location is not open during the whole booking",
                        json::Object().add("rule", "location_hours").add("location_id", location.id).text());
        // A booking by appointment leaves its staff to the appointments.
        const std::optional<Uuid> staff = now_.optional_uuid(Column::staff_id);
        if (staff && !by_appointment_)
            lock_staff(
                schema_, location, *staff,
                {now_.uuid(Column::service_id), visible, {start - buffers_.first, visible.until + buffers_.second}});
    }

    void require_overbooking(const Uuid &location_id) {
        if (!may(schema_, "booking:overbook", location_id))
            throw Error(errc::not_permitted, "permission \"booking:overbook\" is needed at this location",
                        json::Object().add("permission", "booking:overbook").add("location_id", location_id).text());
    }

    [[noreturn]] static void refuse_payment() {
        throw Error(errc::not_permitted, "what is paid and taken off is set by payments and offers only");
    }

    void note_status(std::string_view status) {
        if (status != "pending") now_.set(Column::hold_expires_at, pg::null(TIMESTAMPTZOID));
        const pg::Param moment = pg::timestamptz(pg::clock_time());
        if (status == "confirmed") now_.set(Column::confirmed_at, moment);
        if (status == "in_progress") now_.set(Column::started_at, moment);
        if (status == "completed") now_.set(Column::completed_at, moment);
        if (status != "cancelled") return;
        now_.set(Column::cancelled_at, moment);
        // Whoever cancels without saying so gives back all, but for those who did not come.
        if (now_.is_null(Column::refund_percent))
            now_.set(Column::refund_percent, pg::datum(INT2OID, Int16GetDatum(is_no_show() ? 0 : 100)));
    }

    [[nodiscard]] bool is_no_show() const {
        return !now_.is_null(Column::cancellation_reason) && now_.text(Column::cancellation_reason) == "no_show";
    }

    const Schema &schema_;
    BookingRow &now_;
    std::int64_t duration_ = 0;
    std::pair<std::int64_t, std::int64_t> buffers_;
    bool is_offered_ = false, by_appointment_ = false;
};
} // namespace

} // namespace usher::booking

USHER_FUNCTION(usher_booking_complete) {
    using namespace usher;
    using namespace usher::booking;
    const RowTrigger called(fcinfo, true, "bookings");
    const HeapTuple fresh = called.after();
    if (kit::is_restoring()) return PointerGetDatum(fresh); // checked when it was made, maybe by other rules
    BookingRow row(fresh, called.data->tg_relation);
    Check check(called.schema, row);
    if (called.is_update)
        check.update(BookingRow(called.before(), called.data->tg_relation));
    else
        check.insert();
    return PointerGetDatum(row.finish());
}
