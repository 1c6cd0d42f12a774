// The handler of order.placing: offers that apply to an order are given in the transaction that places it. It decides
// first, locks what it has chosen in the order of ids, and decides again: whoever used the last of an offer meanwhile
// has it, and this order is placed without. Nothing that goes wrong here hinders the order.
#include "usher_loyalty/offers/judging.hpp"

namespace usher::loyalty {

namespace {
constinit Statement lock_offers{R"(
    SELECT FROM @.loyalty_offers AS o
    WHERE o.id = ANY ($1)
    ORDER BY o.id FOR NO KEY UPDATE)"};
constinit Statement use_offer{R"(
    SELECT @._use_offer(o, $2, $3, $4, NULL, $5, $6, $7, $8)
    FROM @.loyalty_offers AS o
    WHERE o.id = $1)"};
constexpr int most_rounds = 5;

struct Order {
    Uuid id;
    Question question;
};

std::vector<Uuid> given_ids(const Judgement &judgement) {
    std::vector<Uuid> out;
    for (const JudgedOffer &each : judgement.offers)
        if (each.choice.is_given) out.push_back(each.id);
    std::sort(out.begin(), out.end());
    return out;
}

/// False when another decision has to be made, because somebody has changed an offer meanwhile: what was locked is to
/// be let go then.
bool give(const Schema &schema, const Order &order) {
    const std::vector<Uuid> chosen = given_ids(judge(schema, order.question));
    if (chosen.empty()) return true;
    lock_offers.run(schema, {pg::uuid_array(chosen)});
    const Judgement judgement = judge(schema, order.question);
    if (given_ids(judgement) != chosen) return false;
    for (const JudgedOffer &each : judgement.offers) {
        if (!each.choice.is_given) continue;
        use_offer.run(schema, {pg::uuid(each.id), pg::uuid(order.question.customer), pg::text("order"),
                               pg::uuid(order.id), pg::int8(judgement.basket.amount_minor),
                               pg::int8(each.choice.discount_minor), pg::text_unless_empty(judgement.basket.currency),
                               pg::jsonb(lines_json(each.choice.lines, "offer"))});
    }
    return true;
}

void tell(const Order &order, const char *why) {
    const std::string data = json::Object().add("order_id", order.id).text();
    kit::log_event({.event_type = "loyalty.offers_failed",
                    .data = data,
                    .severity = "warning",
                    .result = "failure",
                    .resource_type = "order",
                    .resource_id = to_string(order.id),
                    .error_message = why});
}

void place(const Schema &schema, const Order &order) {
    for (int round = 0; round < most_rounds; ++round) {
        bool is_outdated = false;
        const pg::Refusal refusal = pg::attempt([&] {
            is_outdated = !give(schema, order);
            if (is_outdated) throw Error("40001", "offers have changed meanwhile");
        });
        if (!refusal) return;
        if (is_outdated) continue;
        // A driver that tries again gets another answer: what cannot be serialized is no failure of an offer.
        if (refusal.sqlstate().starts_with("40")) throw pg::PgError{const_cast<ErrorData *>(refusal.error)};
        tell(order, refusal.error->message);
        return;
    }
    tell(order, "offers change all the time");
}
} // namespace

} // namespace usher::loyalty

/// _on_order_placing(event text, payload jsonb)
USHER_FUNCTION(usher_loyalty_place_offers) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const std::string payload(args.output(1));
    json::Document document;
    if (!document.parse(payload) || !document.root().is_object()) return pg::null_result(fcinfo);
    const auto id_of = [&](const char *member) -> std::optional<Uuid> {
        const auto found = document.root().find(member);
        return found && found->is_string() ? parse_uuid(found->as_string()) : std::nullopt;
    };
    const std::optional<Uuid> order = id_of("id"), customer = id_of("customer_id");
    if (!order || !customer) return pg::null_result(fcinfo);
    place(Schema(fcinfo), {*order, {*customer, pg::statement_time(), payload, {}, false, Reference{"order", *order}}});
    return pg::null_result(fcinfo);
}
