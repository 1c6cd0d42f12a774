// The error codes of usher_payment, class UP. Its install script registers them with core.
#pragma once
#include "common/error_codes.hpp"

/// Beside those of core: errc::over_refund and so on.
namespace usher::errc {

// clang-format off
inline constexpr ErrorCode over_refund{"over_refund", "UP001", 409, "More would be refunded than was captured and is not refunded, reserved or disputed already."};
inline constexpr ErrorCode duplicate_processor_id{"duplicate_processor_id", "UP002", 409, "Another attempt has this id of the processor."};
inline constexpr ErrorCode outcome_unknown{"outcome_unknown", "UP003", 409, "A processor is at work on the payment, or did not answer: it cannot be given up before that is known."};
inline constexpr ErrorCode card_number_refused{"card_number_refused", "UP004", 422, "A text holds what looks like a card number, which must not be stored."};
inline constexpr ErrorCode currency_mismatch{"currency_mismatch", "UP005", 422, "The currency is not that of the payment."};
inline constexpr ErrorCode ledger_unbalanced{"ledger_unbalanced", "UP006", 422, "The entries of a journal do not sum to zero in each currency."};
inline constexpr ErrorCode append_only{"append_only", "UP007", 409, "Rows of the ledger are only added: reverse a journal by another one."};
inline constexpr ErrorCode attempts_exhausted{"attempts_exhausted", "UP008", 409, "The payment was tried as often as is allowed."};
inline constexpr ErrorCode payment_closed{"payment_closed", "UP009", 409, "The payment was given up."};
inline constexpr ErrorCode webhook_signature_invalid{"webhook_signature_invalid", "", 401, "The webhook is not signed with a secret of this processor, or too long ago."};
inline constexpr ErrorCode webhook_malformed{"webhook_malformed", "", 400, "The webhook is signed, but its body is no event."};
// clang-format on

} // namespace usher::errc

namespace usher::payment {

/// What is registered.
inline constexpr const ErrorCode *error_codes[] = {
    &errc::over_refund,       &errc::duplicate_processor_id,    &errc::outcome_unknown,   &errc::card_number_refused,
    &errc::currency_mismatch, &errc::ledger_unbalanced,         &errc::append_only,       &errc::attempts_exhausted,
    &errc::payment_closed,    &errc::webhook_signature_invalid, &errc::webhook_malformed,
};

} // namespace usher::payment
