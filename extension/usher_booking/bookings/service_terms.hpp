// The terms of a service at a location, as a booking is made on them.
#pragma once
#include "usher_booking/opening_hours/location_calendar.hpp"
#include "usher_booking/slots/rules.hpp"

namespace usher::booking {

enum Term : std::uint8_t { // columns of read_terms()
    service_is_active,
    term_duration,
    term_buffer_before,
    term_buffer_after,
    term_name,
    term_price,
    term_currency,
    term_pending_blocks,
    term_auto_confirm,
    term_needs_staff,
    term_customer_exclusive,
    term_by_appointment,
    term_hold_ttl,
    term_daily_limit,
    is_offered,
    term_min_notice,
    term_horizon,
    term_slot_step,
    location_is_active,
    term_prepayment,
    term_deposit,
};

/// One row, or none when there is no such service. `locked`: as it is now; nothing is locked.
pg::Rows read_terms(const Schema &schema, const Uuid &service, const Uuid &location, Reading reading);
/// What the rules go by.
slots::Terms terms_of(const pg::Row &row);

/// What create_booking() has read, for the row trigger of its INSERT: good while nothing else has been written since.
/// Whoever makes one keeps the rows alive.
class HandedTerms {
public:
    HandedTerms(const Uuid &service, const Uuid &location, const pg::Rows &rows);
    ~HandedTerms();
    HandedTerms(const HandedTerms &) = delete;
    HandedTerms &operator=(const HandedTerms &) = delete;

    /// Ask first thing in the trigger: its own statements count as well. nullptr when there is nothing to take.
    static const pg::Rows *take(const Uuid &service, const Uuid &location);

private:
    const HandedTerms *outer_;
    Uuid service_, location_;
    const pg::Rows *rows_;
    CommandId command_;
};

} // namespace usher::booking
