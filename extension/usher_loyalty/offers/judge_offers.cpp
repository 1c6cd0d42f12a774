// Which offers there are for a customer in a situation, what each takes off, and why another one does not apply. Offers
// are found by the keys of the situation: those that are for other products, places or tiers are never looked at.
#include "usher_loyalty/customers/customer_facts.hpp"
#include "usher_loyalty/offers/offer_rule.hpp"
#include "usher_loyalty/rules/rule_expression.hpp"

namespace usher::loyalty {

namespace {
// $1 customer, $2 time, $3 time zone, $4 tier, $5 location, $6 service, $7 products, $8 keys, $9 offer
constinit Statement find_offers{R"(
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
        CROSS JOIN LATERAL (SELECT $2 AT TIME ZONE coalesce($3, o.time_zone)) AS l (local)
    WHERE o.id IN (SELECT k.offer_id FROM @.loyalty_offer_keys AS k WHERE k.match_key = ANY ($8) AND $9::uuid IS NULL
                   UNION ALL SELECT $9)
        AND ($9 IS NOT NULL
             OR (o.valid_from <= $2 AND coalesce($2 < o.valid_until, true) AND NOT o.needs_voucher))
    ORDER BY o.priority DESC, o.id)"};
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
    std::optional<std::string> zone;
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

OfferTerms terms_of(const pg::Row &row) {
    OfferTerms out;
    const std::string_view name = row.text(kind);
    out.kind = name == "percent" ? OfferKind::percent : name == "amount" ? OfferKind::amount : OfferKind::buy_x_get_y;
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
} // namespace

} // namespace usher::loyalty

/// _judge_offers(customer_id uuid, at timestamptz, context jsonb, offer_id uuid, has_voucher boolean)
USHER_FUNCTION(usher_loyalty_judge_offers) {
    using namespace usher;
    using namespace usher::loyalty;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid who = args.uuid(0);
    const Instant at = args.time(1);
    const Customer customer = read_customer(schema, who, at);
    const Situation situation = read_situation(args.output(2), customer.tier);
    const pg::Rows rows =
        find_offers.run(schema, {pg::uuid(who), pg::timestamptz(at), pg::text_or_null(situation.zone),
                                 pg::text_or_null(customer.tier), pg::uuid_or_null(situation.location),
                                 pg::uuid_or_null(situation.service), pg::uuid_array(situation.products),
                                 pg::text_array(situation.keys), pg::uuid_or_null(args.optional_uuid(3))});
    std::vector<OfferChoice> choices(rows.size());
    std::vector<std::string_view> reasons(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        const OfferTerms terms = terms_of(row);
        reasons[i] = why_not(tests_of(row, terms, situation, customer, args.boolean(4)));
        choices[i] = {row.int4(priority), reasons[i].empty() ? discount_of(terms, situation.basket) : 0,
                      row.boolean(stackable), row.optional_text(stack_group).value_or(""), false};
    }
    choose(choices, situation.basket.amount_minor);
    pg::RowSet out(fcinfo);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        if (reasons[i].empty())
            reasons[i] = choices[i].is_given              ? "applies"
                         : choices[i].discount_minor == 0 ? "takes_nothing_off"
                                                          : "not_combinable";
        out.add({row.param(id), row.param(title), pg::int8(choices[i].discount_minor), pg::boolean(choices[i].is_given),
                 pg::text(reasons[i]), row.param(priority), row.param(version)});
    }
    return out.finish();
}
