// The report of a processor about an attempt or a refund, whoever brings it: the worker that made the call, or a
// webhook.
#pragma once
#include "usher_payment/payment_kit.hpp"
#include "usher_payment/settlement/settlement.hpp"

namespace usher::payment {

struct AttemptReport {
    Outcome outcome = Outcome::unknown; // unknown, declined or succeeded
    std::string processor_transaction_id, failure_code;
    std::string response; // filtered; empty for none
    std::optional<std::int64_t> captured_minor, fee_minor;
    std::optional<Instant> occurred_at;
};

struct PaymentState {
    Uuid transaction;
    std::string status;
    std::int64_t captured_minor = 0;
    std::int32_t version = 0;
    bool is_known = false; // it changed nothing
};

/// Throws US005 for an unknown attempt, UP002 when the id of the processor is another attempt's.
PaymentState report_attempt(const Schema &schema, const Uuid &attempt, const AttemptReport &report);

struct RefundReport {
    Outcome outcome = Outcome::unknown;
    std::string processor_refund_id, failure_code;
    std::string response;
    std::optional<Instant> occurred_at;
};

struct RefundState {
    Uuid refund, transaction;
    std::string status, transaction_status;
    std::int64_t refunded_minor = 0;
    bool is_known = false;
};

/// A report that names another refund than this one changes nothing of it: what left by the other one is noted, as long
/// as there is that much, and a person is asked to look (refund.contradicted).
RefundState report_refund(const Schema &schema, const Uuid &refund, const RefundReport &report);

/// A row for a refund that was made at the processor, which nobody is asked to make again; its report follows.
Uuid note_refund(const Schema &schema, const Uuid &transaction, std::int64_t amount_minor);

/// succeeded, declined or unknown; throws 22023 for anything else.
Outcome outcome_argument(const pg::Args &args, int argument);

/// Tells the owner of a reference, before anything is locked here, that a payment for it is about to change: bookings
/// are locked before their payments, whoever begins.
void announce(const std::optional<std::string> &reference_type, const std::optional<Uuid> &reference,
              const Uuid &transaction);
void announce(const Schema &schema, const Uuid &transaction);

} // namespace usher::payment
