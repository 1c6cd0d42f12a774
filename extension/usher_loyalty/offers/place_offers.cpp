// The handler of order.placing: what was redeemed for the cart is judged anew by what is ordered, and offers that apply
// are given, in the transaction that places it. It decides first, locks what it has chosen in the order of ids, and
// decides again: whoever used the last of an offer meanwhile has it, and this order is placed without. Nothing that
// goes wrong here hinders the order; but nothing that could not be judged is taken off it.
#include "usher_loyalty/offers/judging.hpp"
#include <set>

namespace usher::loyalty {

namespace {
constinit Statement lock_offers{R"(
    SELECT FROM @.loyalty_offers AS o
    WHERE o.id = ANY ($1)
    ORDER BY o.id FOR NO KEY UPDATE)"};
constinit Statement has_uses{R"(
    SELECT EXISTS (SELECT FROM @.offer_uses AS u
                   WHERE u.reference_id = $1 AND u.reference_type = 'order' AND NOT u.is_released))"};
constinit Statement lock_uses{R"(
    SELECT FROM @.offer_uses AS u
    WHERE u.reference_id = $1 AND u.reference_type = 'order' AND NOT u.is_released
    ORDER BY u.offer_id FOR NO KEY UPDATE)"};
constinit Statement renew_uses{R"(
    SELECT m FROM pg_catalog.unnest(@._renew_uses('order', $1, $2, $3, $4)) AS m)"};
constinit Statement release_uses{"SELECT @._release_offers('order', $1)"};
constinit Statement use_offer{R"(
    SELECT @._use_offer(o, $2, $3, $4, NULL, $5, $6, $7, $8)
    FROM @.loyalty_offers AS o
    WHERE o.id = $1)"};
constexpr int most_rounds = 5;

struct Order {
    Uuid id;
    Question question;
    bool has_uses = false;
};
using Ids = std::set<Uuid>; // in the order in which offers are locked

Ids given_ids(const Judgement &judgement) {
    Ids out;
    for (const JudgedOffer &each : judgement.offers)
        if (each.choice.is_given) out.insert(each.id);
    return out;
}

void lock(const Schema &schema, const Order &order, const Ids &offers) {
    if (order.has_uses) lock_uses.run(schema, {pg::uuid(order.id)});
    lock_offers.run(schema, {pg::uuid_array(std::vector<Uuid>(offers.begin(), offers.end()))});
}

/// Releases what was redeemed for the cart and does not apply any more, and gives the rest what it takes off now.
/// Returns the offers that have to be locked for that, if they are not: then nothing was done.
Ids renew(const Schema &schema, const Order &order, const Ids &locked) {
    Ids missing;
    if (!order.has_uses) return missing;
    const pg::Rows rows = renew_uses.run(schema, {pg::uuid(order.id), pg::timestamptz(order.question.at),
                                                  pg::jsonb(order.question.context),
                                                  pg::uuid_array(std::vector<Uuid>(locked.begin(), locked.end()))});
    for (std::size_t i = 0; i < rows.size(); ++i) missing.insert(rows[i].uuid(0));
    return missing;
}

/// False when another decision has to be made, because other offers have to be locked, or somebody has changed one
/// meanwhile: what was locked is let go then, and `wanted` is locked first the next time.
bool give(const Schema &schema, const Order &order, Ids &wanted) {
    if (!wanted.empty()) lock(schema, order, wanted);
    if (const Ids missing = renew(schema, order, wanted); !missing.empty()) {
        wanted.insert(missing.begin(), missing.end());
        return false;
    }
    const Ids chosen = given_ids(judge(schema, order.question));
    if (chosen.empty()) return true;
    if (wanted.empty())
        lock(schema, order, chosen);
    else if (!std::includes(wanted.begin(), wanted.end(), chosen.begin(), chosen.end())) {
        wanted.insert(chosen.begin(), chosen.end());
        return false;
    }
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

/// What was redeemed for the cart and cannot be judged goes back, too.
void give_nothing(const Schema &schema, const Order &order, const char *why) {
    tell(order, why);
    if (order.has_uses) release_uses.run(schema, {pg::uuid(order.id)});
}

void place(const Schema &schema, const Order &order) {
    Ids wanted;
    for (int round = 0; round < most_rounds; ++round) {
        bool is_outdated = false;
        const pg::Refusal refusal = pg::attempt([&] {
            is_outdated = !give(schema, order, wanted);
            if (is_outdated) throw Error("40001", "offers have changed meanwhile");
        });
        if (!refusal) return;
        if (is_outdated) continue;
        // A driver that tries again gets another answer: what cannot be serialized is no failure of an offer.
        if (refusal.sqlstate().starts_with("40")) throw pg::PgError{const_cast<ErrorData *>(refusal.error)};
        give_nothing(schema, order, refusal.error->message);
        return;
    }
    give_nothing(schema, order, "offers change all the time");
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
    const Schema schema(fcinfo);
    place(schema,
          {*order,
           {*customer, pg::statement_time(), payload, {}, false, Reference{"order", *order}},
           // the scripts of 0.9.0 leave what was redeemed as it is
           kit::has_function(schema, "_renew_uses") && has_uses.run(schema, {pg::uuid(*order)}).front().boolean(0)});
    return pg::null_result(fcinfo);
}
