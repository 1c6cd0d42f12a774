// What strangers send to a webhook's address, and what processors answer.
#pragma once
#include "targets.hpp"
#include "usher_payment/card_numbers/card_number.hpp"
#include "usher_payment/webhooks/response_filter.hpp"
#include "usher_payment/webhooks/signature.hpp"
#include "usher_payment/webhooks/webhook_event.hpp"

namespace usher::fuzz {

inline void webhook_target(std::string_view input) {
    using namespace payment;
    // Nobody signs by chance: whatever the headers say.
    const Headers headers = [&](std::string_view) { return std::string(input); };
    for (const Scheme scheme : {Scheme::stripe, Scheme::standard, Scheme::hmac})
        must(!verify({scheme, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "x", 300}, headers, input, 0));
    if (const auto event = parse_webhook(input)) {
        must(event->id.size() <= 255 && event->currency.size() <= 255);
        must(event->report == Report::other || parse_report(name_of(event->report)) == event->report);
    }
    const std::string kept = filter_response(input);
    if (kept.empty()) return;
    json::Document document;
    must(document.parse(kept) && document.root().is_object());
    must(!has_card_number(kept));
    must(filter_response(kept) == kept);
}

} // namespace usher::fuzz
