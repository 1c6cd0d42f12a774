#include "usher_payment/webhooks/response_filter.hpp"
#include "common/json.hpp"
#include "common/utf8.hpp"
#include "usher_payment/card_numbers/card_number.hpp"
#include <algorithm>
#include <iterator>

namespace usher::payment {

namespace {
constexpr int deepest = 3;
constexpr std::size_t longest_string = 255, most_elements = 20;

constexpr std::string_view known[] = {
    "amount",
    "amount_captured",
    "amount_minor",
    "amount_received",
    "amount_refunded",
    "balance_transaction",
    "brand",
    "captured",
    "card",
    "charge",
    "code",
    "country",
    "created",
    "currency",
    "data",
    "decline_code",
    "error",
    "exp_month",
    "exp_year",
    "failure_code",
    "failure_reason",
    "fee",
    "fee_minor",
    "fees",
    "funding",
    "id",
    "last4",
    "latest_charge",
    "livemode",
    "net",
    "network",
    "network_status",
    "object",
    "outcome",
    "paid",
    "payment_intent",
    "payment_method_details",
    "processing",
    "reason",
    "receipt_number",
    "refund",
    "refund_id",
    "refunded",
    "risk_level",
    "seller_message",
    "status",
    "transaction_id",
    "type",
};

bool is_known(std::string_view key) { return std::binary_search(std::begin(known), std::end(known), key); }

std::string filtered(const json::Value &value, int depth);

std::string filtered_object(const json::Value &value, int depth) {
    std::string text;
    for (const json::Member member : value.members()) {
        const std::string key = member.key();
        if (!is_known(key)) continue;
        const std::string kept = filtered(member.value, depth + 1);
        if (!kept.empty()) text += (text.empty() ? "" : ",") + json::quote(key) + ":" + kept;
    }
    return text.empty() ? text : "{" + text + "}";
}

std::string filtered_array(const json::Value &value, int depth) {
    std::string text;
    std::size_t count = 0;
    for (const json::Member member : value.members()) {
        if (++count > most_elements) break;
        const std::string kept = filtered(member.value, depth + 1);
        if (!kept.empty()) text += (text.empty() ? "" : ",") + kept;
    }
    return "[" + text + "]";
}

std::string filtered(const json::Value &value, int depth) {
    switch (value.kind()) {
    case json::Kind::object: return depth < deepest ? filtered_object(value, depth) : std::string();
    case json::Kind::array: return depth < deepest ? filtered_array(value, depth) : std::string();
    case json::Kind::string: {
        const std::string text = value.as_string();
        const std::string_view kept = clip(text, longest_string); // which can end in the middle of a longer number
        return has_card_number(text) || has_card_number(kept) ? std::string() : json::quote(kept);
    }
    case json::Kind::number: return has_card_number(value.raw()) ? std::string() : std::string(value.raw());
    default: return std::string(value.raw());
    }
}
} // namespace

std::string filter_response(std::string_view json) {
    static_assert(std::is_sorted(std::begin(known), std::end(known)));
    json::Document document;
    if (!document.parse(json) || !document.root().is_object()) return {};
    return filtered_object(document.root(), 0);
}

} // namespace usher::payment
