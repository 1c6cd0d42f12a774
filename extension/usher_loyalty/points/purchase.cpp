#include "usher_loyalty/points/purchase.hpp"
#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/money.hpp"
#include <algorithm>
#include <array>

namespace usher::loyalty {

using expression::Value;

namespace {

struct Form {
    std::string_view event, source, id, user, amount;
};
constexpr std::array forms{
    Form{"booking.completed", "booking", "id", "customer_user_id", "price_minor"},
    Form{"payment.completed", "payment", "transaction_id", "user_id", "captured_minor"},
    Form{"order.completed", "order", "id", "user_id", "total_minor"},
};

[[noreturn]] void refuse(std::string_view event, std::string_view member) {
    throw Error(errc::invalid_argument,
                "payload of " + std::string(event) + " has no usable \"" + std::string(member) + "\"",
                R"({"argument":"payload"})");
}

std::string text_of(const Value &payload, std::string_view name) {
    const Value &found = payload.member(name);
    return found.kind == Value::Kind::string ? found.string : std::string();
}

std::optional<Uuid> id_of(const Value &payload, std::string_view name) { return parse_uuid(text_of(payload, name)); }

/// Payments may be another extension's, or an application's, whose ids are no uuids. Nothing for one without an id.
std::optional<Uuid> payment_id(const Value &payload, std::string_view name) {
    const std::string text = text_of(payload, name);
    if (const auto id = parse_uuid(text); id || text.empty()) return id;
    return make_uuid_v8(sha256("payment " + text));
}

std::int64_t amount_of(const Value &payload, std::string_view event, std::string_view name) {
    const Value &found = payload.member(name);
    if (found.kind != Value::Kind::number || !(found.number >= 0) ||
        found.number > static_cast<double>(money::largest_amount))
        refuse(event, name);
    return static_cast<std::int64_t>(found.number);
}

bool is_money(const Value &payload) {
    const std::string method = text_of(payload, "payment_method");
    return method != "points" && method != "voucher";
}

/// What a payment is for, when that is something that earns by itself.
std::optional<SourceId> reference_of(const Value &payload) {
    const std::string type = text_of(payload, "reference_type");
    const std::optional<Uuid> id = id_of(payload, "reference_id");
    if (!id || (type != "booking" && type != "order")) return std::nullopt;
    return SourceId{type == "booking" ? "booking" : "order", *id};
}

std::optional<Purchase> read_completed(const Form &form, Value payload) {
    Purchase out;
    const bool is_payment = form.source == "payment";
    const std::optional<Uuid> id = is_payment ? payment_id(payload, form.id) : id_of(payload, form.id),
                              customer = id_of(payload, "customer_id");
    if (is_payment && (!id || !customer)) return std::nullopt; // of somebody else, who does not say whose it is
    if (!id) refuse(form.event, form.id);
    if (!customer) refuse(form.event, "customer_id");
    out.source = {form.source, *id};
    out.customer = *customer;
    out.user = id_of(payload, form.user);
    out.amount_minor = amount_of(payload, form.event, form.amount);
    out.currency = text_of(payload, "currency");
    out.occurred_at = text_of(payload, "completed_at");
    out.is_money = is_money(payload);
    set_member(payload, "event", Value::of(std::string(form.event)));
    set_member(payload, "amount_minor", Value::of(static_cast<double>(out.amount_minor)));
    out.facts = std::move(payload);
    return out;
}

/// A second charge of what was paid already: nothing is bought by it.
bool is_duplicate(const Value &payload) { return text_of(payload, "purpose") == "duplicate"; }

bool has_number(const Value &payload, std::string_view name) {
    return payload.member(name).kind == Value::Kind::number;
}

/// What all payments together have brought and given back, where the publisher says so, and something went back: a
/// surplus that goes back leaves what was paid for as it is.
std::optional<Standing> standing_of(const Value &payload, std::string_view event, const Uuid &payment) {
    const auto reference = reference_of(payload);
    if (!reference || !has_number(payload, "reference_captured_minor") ||
        !has_number(payload, "reference_refunded_minor"))
        return std::nullopt;
    return Standing{*reference,
                    amount_of(payload, event, "reference_captured_minor"),
                    amount_of(payload, event, "reference_refunded_minor"),
                    {},
                    payment};
}

/// Of the payment, and of what it paid for.
void deduct(std::vector<Deduction> &out, const Value &payload, const Uuid &payment, const Deduction &what) {
    if (const auto reference = reference_of(payload); reference && !is_duplicate(payload)) {
        out.push_back(what);
        out.back().source = *reference;
    }
    out.push_back(what);
    out.back().source = {"payment", payment};
}

void read_refund(PurchaseNews &out, const Value &payload, std::string_view event, bool keeps_standing) {
    const std::optional<Uuid> payment = payment_id(payload, event == "payment.refunded" ? "id" : "transaction_id");
    if (!payment) return;
    // What is only on its way back can still fail; publishers that do not tell it apart do not count it.
    std::int64_t returned = amount_of(payload, event, "refunded_minor");
    if (has_number(payload, "refund_reserved_minor"))
        returned -= std::min(returned, amount_of(payload, event, "refund_reserved_minor"));
    const Deduction what{{}, *payment, returned, "returned"};
    if (keeps_standing && is_money(payload)) out.standing = standing_of(payload, event, *payment);
    if (!out.standing) return deduct(out.deductions, payload, *payment, what);
    out.deductions.push_back(what);
    out.deductions.back().source = {"payment", *payment};
}

/// What a bank holds counts as gone until the dispute is won.
void read_dispute(PurchaseNews &out, const Value &payload, std::string_view event) {
    const std::optional<Uuid> payment = payment_id(payload, "transaction_id"), dispute = id_of(payload, "dispute_id");
    if (!payment || !dispute) return;
    const bool is_won = text_of(payload, "status") == "won";
    deduct(out.deductions, payload, *payment,
           {{}, *dispute, is_won ? 0 : amount_of(payload, event, "amount_minor"), is_won ? "void" : "disputed"});
}

} // namespace

void set_member(Value &object, std::string_view name, Value value) {
    const auto found = std::find(object.keys.begin(), object.keys.end(), name);
    if (found != object.keys.end()) {
        object.items[static_cast<std::size_t>(found - object.keys.begin())] = std::move(value);
        return;
    }
    object.keys.emplace_back(name);
    object.items.push_back(std::move(value));
}

PurchaseNews read_purchase(std::string_view event, std::string_view payload, bool keeps_standing) {
    std::optional<Value> parsed = expression::from_json(payload);
    if (!parsed || parsed->kind != Value::Kind::object) refuse(event, "object");
    PurchaseNews out;
    if (event == "order.cancelled") {
        const std::optional<Uuid> order = id_of(*parsed, "id");
        if (!order) refuse(event, "id");
        out.deductions.push_back({{"order", *order}, *order, money::largest_amount, "returned"});
        return out;
    }
    if (event == "order.returned") {
        const std::optional<Uuid> order = id_of(*parsed, "id");
        if (!order) refuse(event, "id");
        const std::int64_t total = amount_of(*parsed, event, "total_minor");
        if (keeps_standing) out.standing = Standing{{"order", *order}, {}, {}, total, {}};
        return out;
    }
    if (event == "payment.refunded" || event == "payment.partially_refunded") {
        read_refund(out, *parsed, event, keeps_standing);
        return out;
    }
    if (event == "payment.disputed" || event == "payment.dispute_closed") {
        read_dispute(out, *parsed, event);
        return out;
    }
    for (const Form &form : forms) {
        if (form.event != event) continue;
        if (form.source == "payment") {
            const std::optional<Uuid> payment = payment_id(*parsed, form.id);
            if (keeps_standing && payment && is_money(*parsed)) out.standing = standing_of(*parsed, event, *payment);
            if (out.standing && *out.standing->refunded_minor == 0) out.standing.reset(); // nothing went back so far
            if (is_duplicate(*parsed)) break;
        }
        out.purchase = read_completed(form, std::move(*parsed));
        if (out.purchase && !out.purchase->is_money && form.source == "payment")
            deduct(out.deductions, out.purchase->facts, out.purchase->source.id,
                   {{}, out.purchase->source.id, out.purchase->amount_minor, "not_money"});
        break;
    }
    return out;
}

} // namespace usher::loyalty
