#include "usher_booking/bookings/service_terms.hpp"

namespace usher::booking {

namespace {
#define TERMS                                                                                                          \
    "SELECT s.is_active, s.duration, s.buffer_before, s.buffer_after, s.name, s.price_minor, s.currency,"              \
    " s.pending_blocks, s.auto_confirm, s.needs_staff, s.customer_exclusive, s.by_appointment, s.hold_ttl,"            \
    " s.daily_limit,"                                                                                                  \
    " EXISTS (SELECT FROM @.location_services AS o WHERE o.location_id = $2 AND o.service_id = s.id),"                 \
    " s.min_notice, s.horizon, s.slot_step, EXISTS (SELECT FROM @.locations AS l WHERE l.id = $2 AND l.is_active),"    \
    " s.prepayment, s.deposit_minor"                                                                                   \
    " FROM @.services AS s WHERE s.id = $1"
constinit Statement latest_terms{TERMS};
constinit Statement plain_terms{TERMS, pg::Access::read};

constinit const HandedTerms *handed = nullptr;
} // namespace

pg::Rows read_terms(const Schema &schema, const Uuid &service, const Uuid &location, Reading reading) {
    return (reading == Reading::plain ? plain_terms : latest_terms)
        .run(schema, {pg::uuid(service), pg::uuid(location)});
}

slots::Terms terms_of(const pg::Row &row) {
    return {
        .duration = row.interval_us(term_duration),
        .step = row.interval_us(term_slot_step),
        .buffer_before = row.interval_us(term_buffer_before),
        .buffer_after = row.interval_us(term_buffer_after),
        .min_notice = row.interval_us(term_min_notice),
        .horizon = row.interval_us(term_horizon),
    };
}

HandedTerms::HandedTerms(const Uuid &service, const Uuid &location, const pg::Rows &rows)
    : outer_(handed),
      service_(service),
      location_(location),
      rows_(&rows),
      command_(pg::call([] { return GetCurrentCommandId(false); })) {
    handed = this;
}

HandedTerms::~HandedTerms() { handed = outer_; }

const pg::Rows *HandedTerms::take(const Uuid &service, const Uuid &location) {
    if (handed == nullptr || handed->service_ != service || handed->location_ != location) return nullptr;
    return pg::call([] { return GetCurrentCommandId(false); }) == handed->command_ ? handed->rows_ : nullptr;
}

} // namespace usher::booking

/// _require_service_price(price_minor bigint, currency text)
USHER_FUNCTION(usher_booking_require_price) {
    using namespace usher;
    const pg::Args args(fcinfo);
    kit::require_currency(args.text(1));
    kit::require_price(args.int8(0), "price_minor");
    return pg::null_result(fcinfo);
}
