// Which offers there are for a customer in a situation, what each takes off, and why another one does not apply. Offers
// are found by the keys of the situation: those that are for other products, places or tiers are never looked at.
#include "common/json.hpp"
#include "usher_loyalty/customers/customer_facts.hpp"
#include "usher_loyalty/offers/judging.hpp"
#include "usher_loyalty/rules/rule_expression.hpp"

namespace usher::loyalty {

namespace {
// $1 customer, $2 time, $3 time zone, $4 tier, $5 location, $6 service, $7 products, $8 keys, $9 offer,
// $10 when it is for
// The core of 0.9.0 does not know where locations are.
#define STATEMENTS(WITH_ZONES, WITHOUT, HEAD, ZONE, TAIL)                                                              \
    constinit Statement WITH_ZONES{HEAD ZONE TAIL};                                                                    \
    constinit Statement WITHOUT{HEAD TAIL};
STATEMENTS(find_offers, find_offers_anywhere, R"(
    SELECT o.id, o.title, o.kind, (o.percent * 100)::bigint, o.amount_minor, o.currency, o.buy_quantity, o.get_quantity,
           o.min_amount_minor, o.max_discount_minor, o.product_ids::text, o.is_stackable, o.stack_group, o.priority,
           o.version, o.needs_voucher, o.first_visit,
           o.status IN ('scheduled', 'active') AND o.valid_from <= $2 AND coalesce($2 < o.valid_until, true),
           coalesce(o.uses < o.max_uses, true),
           coalesce(CASE WHEN o.max_per_customer IS NOT NULL THEN (
               SELECT count(*) FROM @.offer_uses AS u
               WHERE u.offer_id = o.id AND u.customer_id = $1 AND NOT u.is_released) END < o.max_per_customer, true),
           coalesce($4 = ANY (o.tiers), o.tiers IS NULL), coalesce($5 = ANY (o.location_ids), o.location_ids IS NULL),
           coalesce($6 = ANY (o.service_ids), o.service_ids IS NULL),
           coalesce(o.product_ids && $7, o.product_ids IS NULL),
           coalesce(extract(isodow FROM l.local)::integer = ANY (o.weekdays), o.weekdays IS NULL),
           coalesce(extract(hour FROM l.local)::integer <@ o.hours, true), s.condition
    FROM @.loyalty_offers AS o
        LEFT JOIN @.loyalty_segments AS s ON s.code = o.segment
        CROSS JOIN LATERAL (
            SELECT coalesce($10::text::timestamptz, $2) AT TIME ZONE coalesce($3,)",
           R"(CASE
                WHEN o.weekdays IS NOT NULL OR o.hours IS NOT NULL
                THEN (SELECT z.time_zone FROM usher.location_reference($5) AS z) END, )",
           R"(o.time_zone)) AS l (local)
    WHERE o.id IN (SELECT k.offer_id FROM @.loyalty_offer_keys AS k WHERE k.match_key = ANY ($8) AND $9::uuid IS NULL
                   UNION ALL SELECT $9)
        AND ($9 IS NOT NULL
             OR (o.valid_from <= $2 AND coalesce($2 < o.valid_until, true) AND NOT o.needs_voucher))
    ORDER BY o.priority DESC, o.id)")
#undef STATEMENTS
// What was given for a reference before, with the terms that it had then; rows by hand have those of now.
constinit Statement find_given{R"(
    SELECT u.offer_id, u.discount_minor, coalesce((u.terms ->> 'is_stackable')::boolean, o.is_stackable),
           CASE WHEN u.terms ? 'is_stackable' THEN u.terms ->> 'stack_group' ELSE o.stack_group END, u.lines::text
    FROM @.offer_uses AS u JOIN @.loyalty_offers AS o ON o.id = u.offer_id
    WHERE u.reference_id = $1 AND u.reference_type = $2 AND NOT u.is_released
    ORDER BY u.offer_id)"};
// What was given for a reference, in that order, with the terms that it had then, and what it is judged by now.
constinit Statement find_uses{R"(
    SELECT u.offer_id, u.customer_id, @._situation($1, u.terms -> 'stated')::text,
           coalesce(v.is_active AND coalesce($2 < v.valid_until, true), false),
           t.kind, (t.percent * 100)::bigint, t.amount_minor, t.currency, t.buy_quantity, t.get_quantity,
           t.max_discount_minor, t.is_stackable, t.stack_group
    FROM @.offer_uses AS u
        LEFT JOIN @.offer_vouchers AS v ON v.id = u.voucher_id
        CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::@.loyalty_offers, u.terms) AS t
    WHERE u.reference_id = $4 AND u.reference_type = $3 AND NOT u.is_released
    ORDER BY u.id)"};
enum UseColumn : std::uint8_t {
    used_offer,
    used_by,
    used_in,
    voucher_is_good,
    used_kind,
    used_percent,
    used_amount,
    used_currency,
    used_buy,
    used_get,
    used_most,
    used_stackable,
    used_group,
};
enum Column : std::uint8_t {
    id,
    title,
    kind,
    percent,
    amount,
    currency,
    buy,
    get,
    minimum,
    most,
    products,
    stackable,
    stack_group,
    priority,
    version,
    needs_voucher,
    first_visit,
    live,
    is_left,
    is_left_for_customer,
    fits_tier,
    fits_location,
    fits_service,
    fits_products,
    fits_weekday,
    fits_hour,
    segment,
};

/// Where and what for: the members of a context beside its basket.
struct Situation {
    Basket basket;
    std::optional<Uuid> location, service;
    std::optional<std::string> zone, takes_place_at;
    std::vector<Uuid> products;
    std::vector<std::string> keys;
};

Situation read_situation(const std::string &context, const std::optional<std::string> &tier) {
    Situation out;
    out.basket = read_basket(context);
    json::Document document;
    document.parse(context);
    const auto text = [&](const char *member) -> std::optional<std::string> {
        const auto found = document.root().find(member);
        return found && found->is_string() ? std::optional(found->as_string()) : std::nullopt;
    };
    const auto id_of = [&](const char *member) -> std::optional<Uuid> {
        const auto found = text(member);
        return found ? parse_uuid(*found) : std::nullopt;
    };
    out.location = id_of("location_id");
    out.service = id_of("service_id");
    out.zone = text("time_zone");
    out.takes_place_at = text("takes_place_at");
    out.keys.emplace_back("all");
    if (tier) out.keys.push_back("tier:" + *tier);
    if (out.location) out.keys.push_back("location:" + to_string(*out.location));
    if (out.service) out.keys.push_back("service:" + to_string(*out.service));
    for (const BasketLine &each : out.basket.lines) {
        if (!each.product) continue;
        out.products.push_back(*each.product);
        out.keys.push_back("product:" + to_string(*each.product));
    }
    return out;
}

OfferKind kind_of(std::string_view name) {
    return name == "percent" ? OfferKind::percent : name == "amount" ? OfferKind::amount : OfferKind::buy_x_get_y;
}

OfferTerms terms_of(const pg::Row &row) {
    OfferTerms out;
    out.kind = kind_of(row.text(kind));
    const auto number = [&](int column) { return row.is_null(column) ? 0 : row.int8(column); };
    out.hundredths_of_percent = number(percent);
    out.amount_minor = number(amount);
    out.currency = row.optional_text(currency).value_or("");
    if (!row.is_null(buy)) out.buy = row.int4(buy);
    if (!row.is_null(get)) out.get = row.int4(get);
    if (!row.is_null(most)) out.max_discount_minor = row.int8(most);
    const std::string list = row.optional_text(products).value_or(""); // "{uuid,uuid}"
    for (std::size_t at = 1; at + 36 <= list.size(); at += 37)
        if (const auto product = parse_uuid(std::string_view(list).substr(at, 36))) out.products.push_back(*product);
    return out;
}

/// Of a use, as far as it has kept them; rows by hand have those of now.
void keep_terms(OfferTerms &out, const pg::Row &use) {
    if (!use.is_null(used_kind)) {
        const auto number = [&](int column) { return use.is_null(column) ? 0 : use.int8(column); };
        out.kind = kind_of(use.text(used_kind));
        out.hundredths_of_percent = number(used_percent);
        out.amount_minor = number(used_amount);
        out.currency = use.optional_text(used_currency).value_or("");
        out.buy = use.is_null(used_buy) ? 0 : use.int4(used_buy);
        out.get = use.is_null(used_get) ? 0 : use.int4(used_get);
    }
    if (!use.is_null(used_most)) out.max_discount_minor = use.int8(used_most);
}

OfferTests tests_of(const pg::Row &row, const OfferTerms &terms, const Situation &situation, const Customer &customer,
                    bool has_voucher) {
    OfferTests out;
    out.is_live = row.boolean(live);
    out.has_voucher = has_voucher || !row.boolean(needs_voucher);
    out.is_left = row.boolean(is_left);
    out.is_left_for_customer = row.boolean(is_left_for_customer);
    out.fits_tier = row.boolean(fits_tier);
    out.fits_first_visit = customer.is_new || !row.boolean(first_visit);
    out.fits_location = row.boolean(fits_location);
    out.fits_service = row.boolean(fits_service);
    out.fits_products = row.boolean(fits_products);
    out.fits_weekday = row.boolean(fits_weekday);
    out.fits_hour = row.boolean(fits_hour);
    out.fits_currency = terms.currency.empty() || terms.currency == situation.basket.currency;
    out.reaches_minimum = situation.basket.amount_minor >= row.int8(minimum);
    if (!row.is_null(segment))
        out.fits_segment = holds(parse_expression(row.text(segment), "condition", false), customer.facts, {}, pg::poll);
    return out;
}

std::vector<LineShare> read_shares(std::string_view text) {
    json::Document document;
    std::vector<LineShare> out;
    if (!document.parse(text) || !document.root().is_array()) return out;
    for (const json::Member each : document.root().members()) {
        if (!each.value.is_object()) continue;
        const auto number_of = [&](const char *member) {
            const auto found = each.value.find(member);
            return found ? found->as_int64().value_or(0) : 0;
        };
        out.push_back({number_of("line_no"), number_of("discount_minor")});
    }
    return out;
}

pg::Rows offers_for(const Schema &schema, const Question &question, const Situation &situation,
                    const Customer &customer) {
    Statement &find = kit::core_has_function("location_reference") ? find_offers : find_offers_anywhere;
    return find.run(schema, {pg::uuid(question.customer), pg::timestamptz(question.at),
                             pg::text_or_null(situation.zone), pg::text_or_null(customer.tier),
                             pg::uuid_or_null(situation.location), pg::uuid_or_null(situation.service),
                             pg::uuid_array(situation.products), pg::text_array(situation.keys),
                             pg::uuid_or_null(question.offer), pg::text_or_null(situation.takes_place_at)});
}

struct Given {
    std::vector<Uuid> ids;
    std::vector<GivenOffer> offers;
    [[nodiscard]] bool has(const Uuid &offer) const { return std::find(ids.begin(), ids.end(), offer) != ids.end(); }
};

Given given_to(const Schema &schema, const Question &question) {
    Given out;
    if (!question.use) return out;
    const pg::Rows rows = find_given.run(schema, {pg::uuid(question.use->id), pg::text(question.use->type)});
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (question.offer == rows[i].uuid(0)) continue; // which is in nobody's way but its own
        out.ids.push_back(rows[i].uuid(0));
        out.offers.push_back(
            {rows[i].int8(1), rows[i].boolean(2), rows[i].optional_text(3).value_or(""), read_shares(rows[i].text(4))});
    }
    return out;
}
void conclude(JudgedOffer &judged, OfferChoice choice) {
    judged.choice = std::move(choice);
    if (!judged.why.empty()) return;
    judged.why = judged.choice.is_given              ? "applies"
                 : judged.choice.discount_minor == 0 ? "takes_nothing_off"
                                                     : "not_combinable";
}
} // namespace

std::string lines_json(const std::vector<LineShare> &lines, std::string_view reason) {
    std::string out = "[";
    for (const LineShare &each : lines) {
        if (out.size() > 1) out += ',';
        json::Object object;
        object.add("line_no", each.number).add("discount_minor", each.discount_minor).add("reason", reason);
        out += object.text();
    }
    return out + "]";
}

Judgement judge(const Schema &schema, const Question &question) {
    const Customer customer = read_customer(schema, question.customer, question.at);
    const Situation situation = read_situation(question.context, customer.tier);
    const Given given = given_to(schema, question);
    const pg::Rows rows = offers_for(schema, question, situation, customer);
    std::vector<OfferChoice> choices;
    Judgement out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        if (given.has(row.uuid(id))) continue; // a reference has an offer once
        const OfferTerms terms = terms_of(row);
        JudgedOffer judged;
        judged.id = row.uuid(id);
        judged.title = row.string(title);
        judged.version = row.int4(version);
        judged.why = why_not(tests_of(row, terms, situation, customer, question.has_voucher));
        OfferChoice choice;
        choice.priority = row.int4(priority);
        choice.is_stackable = row.boolean(stackable);
        choice.stack_group = row.optional_text(stack_group).value_or("");
        if (judged.why.empty()) {
            choice.discount_minor = discount_of(terms, situation.basket);
            choice.limits = discount_limits(terms, situation.basket);
        }
        choices.push_back(std::move(choice));
        out.offers.push_back(std::move(judged));
    }
    choose(choices, situation.basket, given.offers);
    for (std::size_t i = 0; i < choices.size(); ++i) conclude(out.offers[i], std::move(choices[i]));
    out.basket = situation.basket;
    return out;
}

std::vector<JudgedOffer> judge_uses(const Schema &schema, const Reference &reference, Instant at,
                                    std::string_view facts) {
    const pg::Rows uses = find_uses.run(
        schema, {pg::jsonb(facts), pg::timestamptz(at), pg::text(reference.type), pg::uuid(reference.id)});
    std::vector<JudgedOffer> out;
    std::vector<GivenOffer> given; // what stays of those before
    for (std::size_t i = 0; i < uses.size(); ++i) {
        const pg::Row use = uses[i];
        const Question question{
            use.uuid(used_by), at, use.string(used_in), use.uuid(used_offer), use.boolean(voucher_is_good), {}};
        const Customer customer = read_customer(schema, question.customer, at);
        const Situation situation = read_situation(question.context, customer.tier);
        const pg::Rows rows = offers_for(schema, question, situation, customer);
        const pg::Row row = rows.front();
        OfferTerms terms = terms_of(row);
        keep_terms(terms, use);
        OfferTests tests = tests_of(row, terms, situation, customer, question.has_voucher);
        tests.is_left = tests.is_left_for_customer = true; // it is one of them
        JudgedOffer judged;
        judged.id = row.uuid(id);
        judged.title = row.string(title);
        judged.version = row.int4(version);
        judged.why = why_not(tests);
        OfferChoice choice;
        choice.priority = row.int4(priority);
        choice.is_stackable = use.is_null(used_stackable) ? row.boolean(stackable) : use.boolean(used_stackable);
        choice.stack_group =
            (use.is_null(used_stackable) ? row.optional_text(stack_group) : use.optional_text(used_group)).value_or("");
        if (judged.why.empty()) {
            choice.discount_minor = discount_of(terms, situation.basket);
            choice.limits = discount_limits(terms, situation.basket);
        }
        std::vector<OfferChoice> one{std::move(choice)};
        choose(one, situation.basket, given);
        conclude(judged, std::move(one.front()));
        judged.amount_minor = situation.basket.amount_minor;
        if (judged.choice.is_given)
            given.push_back({judged.choice.discount_minor, judged.choice.is_stackable, judged.choice.stack_group,
                             judged.choice.lines});
        out.push_back(std::move(judged));
    }
    return out;
}

} // namespace usher::loyalty

/// _judge_offers(customer_id uuid, at timestamptz, context jsonb, offer_id uuid, has_voucher boolean, reference_type
/// text, reference_id uuid)
USHER_FUNCTION(usher_loyalty_judge_offers) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    Question question{args.uuid(0),          args.time(1),    std::string(args.output(2)),
                      args.optional_uuid(3), args.boolean(4), {}};
    if (!args.is_null(5)) question.use = Reference{std::string(args.text(5)), args.uuid(6)};
    const Judgement judgement = judge(schema, question);
    const char *const reason = question.has_voucher ? "voucher" : "offer";
    pg::RowSet out(fcinfo);
    for (const JudgedOffer &each : judgement.offers)
        out.add({pg::uuid(each.id), pg::text(each.title), pg::int8(each.choice.discount_minor),
                 pg::boolean(each.choice.is_given), pg::text(each.why), pg::int4(each.choice.priority),
                 pg::int4(each.version), pg::jsonb(lines_json(each.choice.lines, reason))});
    return out.finish();
}

/// _judge_uses(reference_type text, reference_id uuid, at timestamptz, facts jsonb)
USHER_FUNCTION(usher_loyalty_judge_uses) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    pg::RowSet out(fcinfo);
    for (const JudgedOffer &each :
         judge_uses(schema, {std::string(args.text(0)), args.uuid(1)}, args.time(2), args.output(3)))
        out.add({pg::uuid(each.id), pg::boolean(each.choice.is_given), pg::text(each.why),
                 pg::int8(each.choice.discount_minor), pg::int8(each.amount_minor),
                 pg::jsonb(lines_json(each.choice.lines, "offer"))});
    return out.finish();
}
