// Payments are events of another feature; here is what they do to bookings.
#pragma once

namespace usher::booking {

/// Does the handler of payment.completed run? Nobody else may say that a booking is paid.
bool payment_handler_runs();

} // namespace usher::booking
