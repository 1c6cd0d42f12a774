// What a processor tells by a webhook, in one form whatever the processor. Two forms of bodies are read:
//
//     {"id": "evt_1", "type": "payment_intent.succeeded", "created": 1700000000, "data": {"object": {…}}}    as
//     Stripe's
//     {"id": "…", "type": "payment.succeeded", "timestamp": 1700000000, "data": {"provider_key": "…", …}}    plain
//
// The data of the plain form: provider_key, transaction_id, refund_id, dispute_id, amount_minor, fee_minor, currency,
// failure_code. Its types: payment.succeeded, payment.failed, payment.processing, refund.succeeded, refund.failed,
// dispute.opened, dispute.won, dispute.lost. Other types are for somebody else.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <string>
#include <string_view>

namespace usher::payment {

enum class Report : std::uint8_t {
    other,
    payment_unknown,
    payment_failed,
    payment_succeeded,
    refund_failed,
    refund_succeeded,
    dispute_opened,
    dispute_won,
    dispute_lost,
};
std::string_view name_of(Report report) noexcept;
std::optional<Report> parse_report(std::string_view text) noexcept;

struct WebhookEvent {
    std::string id, type;
    std::optional<Instant> occurred_at;
    Report report = Report::other;
    std::string provider_key;             // ours, as the processor hands it back
    std::string processor_transaction_id; // theirs
    std::string processor_refund_id, processor_dispute_id;
    std::optional<std::int64_t> amount_minor, fee_minor;
    std::string currency; // upper case
    std::string failure_code;
};

/// Nothing when the body is no JSON object, or what is in it is of the wrong kind. Texts that are too long to be what
/// they are meant to be are left out.
std::optional<WebhookEvent> parse_webhook(std::string_view body);

} // namespace usher::payment
