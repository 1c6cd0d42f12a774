// What a webhook does: once, whatever how often it comes, and never what a newer one has overtaken.
#pragma once
#include "usher_payment/payment_kit.hpp"
#include "usher_payment/webhooks/webhook_event.hpp"

namespace usher::payment {

struct Ingested {
    bool is_duplicate = false;
    std::string effect; // applied, known, other, unmatched or mismatch
    std::optional<Uuid> transaction;
};
Ingested ingest(const Schema &schema, std::string_view processor, const WebhookEvent &event);

/// What an event names by an id of the processor.
enum class Named : std::uint8_t { transaction, refund, dispute };

/// Events that came before we knew the id of the processor that they are about. Whoever stores one calls it.
void apply_unmatched(const Schema &schema, std::string_view processor, Named named, const std::string &theirs);

} // namespace usher::payment
