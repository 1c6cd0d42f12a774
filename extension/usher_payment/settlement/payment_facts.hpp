// What events tell of a payment, in one form for all of them (docs/payment.md, "What events tell").
#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

/// The members of `more` appended to those of `object`; both are JSON objects as text, and `more` may be empty: {}.
std::string join(std::string_view object, std::string_view more);

/// reference_captured_minor and reference_refunded_minor: what all payments for what this one is for come to, in its
/// currency. {} for one without a reference. What a bank has taken back, or holds, is not captured; what is on its way
/// back is refunded; less has never come in than has gone out.
std::string reference_totals(const Schema &schema, const Uuid &transaction);

/// The payment as it stands, with the totals of its reference, and `more` in place of members of the same name.
std::string payment_facts(const Schema &schema, const Uuid &transaction, std::string_view more);

} // namespace usher::payment
