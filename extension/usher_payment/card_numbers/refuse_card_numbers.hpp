#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

/// Throws UP004 when a column of text or JSON holds what looks like a card number. The number is in no message.
void refuse_card_numbers(HeapTuple tuple, Relation relation);

} // namespace usher::payment
