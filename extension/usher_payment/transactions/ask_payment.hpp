// What bookings and orders wait for: the payments that handlers of events make.
#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

/// Columns of payment_transactions.
struct Asked {
    pg::Param customer, user, location, reference_type, reference, purpose, amount_minor, currency, payment_method,
        balance_minor, created_by;
};

/// Makes the pending payment, in place of whatever else is asked for the same purpose of the reference: nobody's
/// payment keeps another one from being recorded. When a processor is at that, or somebody has just made it, both
/// stand, and what is paid too much goes back.
void ask_payment(const Schema &schema, const Asked &asked);

} // namespace usher::payment
