#include "usher_payment/webhooks/webhook_event.hpp"
#include "common/json.hpp"
#include "common/money.hpp"
#include "common/text.hpp"
#include <array>

namespace usher::payment {

namespace {
constexpr std::array<std::string_view, 9> reports{
    "other",          "payment.processing", "payment.failed", "payment.succeeded", "refund.failed", "refund.succeeded",
    "dispute.opened", "dispute.won",        "dispute.lost"};
constexpr std::size_t longest_id = 255;
// From 2000 to 2200, in seconds: a number outside counts something else.
constexpr std::int64_t earliest = 946684800, latest = 7258118400;

std::string text_of(const json::Value &object, std::string_view key) {
    const auto found = object.find(key);
    std::string text = found ? found->as_string() : std::string();
    return text.size() <= longest_id ? text : std::string();
}

/// The first of these members that has a text.
template <class... Keys> std::string first_text(const json::Value &object, Keys... keys) {
    std::string text;
    ((text.empty() ? (void)(text = text_of(object, keys)) : void()), ...);
    return text;
}

std::optional<std::int64_t> number_of(const json::Value &object, std::string_view key) {
    const auto found = object.find(key);
    return found ? found->as_int64() : std::nullopt;
}

std::string currency_of(const json::Value &object) {
    std::string code = text_of(object, "currency");
    for (char &c : code)
        if (is_lower(c)) c = static_cast<char>(c - 'a' + 'A');
    return code;
}

std::optional<Instant> time_of(const json::Value &object, std::string_view key) {
    const auto seconds = number_of(object, key);
    if (!seconds || *seconds < earliest || *seconds > latest) return std::nullopt;
    return *seconds * one_second;
}

Report refund_report(const json::Value &object) {
    const std::string status = text_of(object, "status");
    if (status == "succeeded") return Report::refund_succeeded;
    return status == "failed" || status == "canceled" ? Report::refund_failed : Report::other;
}

/// An inquiry (warning_…) takes no money, unless the bank goes on to a dispute; closed as one, it has taken none.
Report dispute_report(std::string_view what, const json::Value &object) {
    const std::string status = text_of(object, "status");
    if (status == "lost") return Report::dispute_lost;
    if (status == "won" || status == "warning_closed") return Report::dispute_won;
    if (what == "funds_withdrawn") return Report::dispute_opened;
    const bool is_inquiry = status.starts_with("warning_");
    return (what == "created" || what == "updated") && !is_inquiry ? Report::dispute_opened : Report::other;
}

/// Stripe counts three currencies otherwise than ISO 4217 does: krónur and Ugandan shillings by the hundredth, which
/// they do not have, and ariary whole. What cannot be said in minor units becomes 0, which fits no payment.
std::int64_t minor_of_stripe(std::int64_t amount, std::string_view currency) {
    if (currency == "ISK" || currency == "UGX") return amount % 100 == 0 ? amount / 100 : 0;
    if (currency == "MGA") return money::is_payable(amount) && money::is_payable(amount * 100) ? amount * 100 : 0;
    return amount;
}

void read_stripe(const json::Value &object, WebhookEvent &event) {
    const std::string_view type = event.type;
    event.currency = currency_of(object);
    if (const auto metadata = object.find("metadata")) event.provider_key = text_of(*metadata, "provider_key");
    const std::string id = text_of(object, "id");
    const auto amount = [&](std::string_view preferred) {
        const auto found = number_of(object, preferred);
        return found ? found : number_of(object, "amount");
    };
    if (type.starts_with("payment_intent.")) {
        event.processor_transaction_id = id;
        event.amount_minor = amount("amount_received");
        if (type == "payment_intent.succeeded") event.report = Report::payment_succeeded;
        if (type == "payment_intent.processing") event.report = Report::payment_unknown;
        if (type == "payment_intent.canceled") event.report = Report::payment_failed, event.failure_code = "canceled";
        if (type == "payment_intent.payment_failed") {
            event.report = Report::payment_failed;
            if (const auto error = object.find("last_payment_error"))
                event.failure_code = first_text(*error, "decline_code", "code");
        }
    } else if (type == "charge.succeeded" || type == "charge.failed") {
        event.report = type == "charge.succeeded" ? Report::payment_succeeded : Report::payment_failed;
        event.processor_transaction_id = first_text(object, "payment_intent", "id");
        event.amount_minor = amount("amount_captured");
        event.failure_code = text_of(object, "failure_code");
    } else if (type.starts_with("refund.") || type == "charge.refund.updated") {
        event.report = refund_report(object);
        event.processor_refund_id = id;
        event.processor_transaction_id = first_text(object, "payment_intent", "charge");
        event.amount_minor = number_of(object, "amount");
        event.failure_code = text_of(object, "failure_reason");
    } else if (type.starts_with("charge.dispute.")) {
        event.report = dispute_report(type.substr(std::string_view("charge.dispute.").size()), object);
        event.processor_dispute_id = id;
        event.processor_transaction_id = first_text(object, "payment_intent", "charge");
        event.amount_minor = number_of(object, "amount");
        event.failure_code = text_of(object, "reason");
    }
    if (event.amount_minor) event.amount_minor = minor_of_stripe(*event.amount_minor, event.currency);
}

void read_plain(const json::Value &data, WebhookEvent &event) {
    event.report = parse_report(event.type).value_or(Report::other);
    event.provider_key = text_of(data, "provider_key");
    event.processor_transaction_id = text_of(data, "transaction_id");
    event.processor_refund_id = text_of(data, "refund_id");
    event.processor_dispute_id = text_of(data, "dispute_id");
    event.amount_minor = number_of(data, "amount_minor");
    event.fee_minor = number_of(data, "fee_minor");
    event.currency = currency_of(data);
    event.failure_code = text_of(data, "failure_code");
}
} // namespace

std::string_view name_of(Report report) noexcept { return reports[static_cast<std::size_t>(report)]; }

std::optional<Report> parse_report(std::string_view text) noexcept {
    for (std::size_t i = 1; i < reports.size(); ++i)
        if (reports[i] == text) return static_cast<Report>(i);
    return std::nullopt;
}

std::optional<WebhookEvent> parse_webhook(std::string_view body) {
    json::Document document;
    if (!document.parse(body) || !document.root().is_object()) return std::nullopt;
    const json::Value root = document.root();
    WebhookEvent event;
    event.id = text_of(root, "id");
    event.type = text_of(root, "type");
    event.occurred_at = time_of(root, "created");
    if (!event.occurred_at) event.occurred_at = time_of(root, "timestamp");
    const auto data = root.find("data");
    if (!data) return event;
    if (!data->is_object()) return std::nullopt;
    const auto object = data->find("object");
    if (object && object->is_object())
        read_stripe(*object, event);
    else
        read_plain(*data, event);
    return event;
}

} // namespace usher::payment
