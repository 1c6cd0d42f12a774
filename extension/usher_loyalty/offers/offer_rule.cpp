#include "usher_loyalty/offers/offer_rule.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/money.hpp"
#include <algorithm>
#include <numeric>

namespace usher::loyalty {

namespace {
constexpr std::size_t most_lines = 1000;
constexpr std::int64_t most_units = 1'000'000;

[[noreturn]] void refuse(const char *member) {
    throw Error(errc::invalid_argument, std::string("context has no usable \"") + member + "\"",
                R"({"argument":"context"})");
}

std::int64_t number(const json::Value &object, const char *member, std::int64_t otherwise, std::int64_t most) {
    const auto found = object.find(member);
    if (!found || found->is_null()) return otherwise;
    const auto value = found->as_int64();
    if (!value || *value < 0 || *value > most) refuse(member);
    return *value;
}

bool is_among(const std::vector<Uuid> &products, const std::optional<Uuid> &product) {
    return products.empty() || (product && std::find(products.begin(), products.end(), *product) != products.end());
}

/// The lines that an offer is for.
std::vector<BasketLine> lines_for(const OfferTerms &terms, const Basket &basket) {
    std::vector<BasketLine> out;
    std::copy_if(basket.lines.begin(), basket.lines.end(), std::back_inserter(out),
                 [&](const BasketLine &each) { return is_among(terms.products, each.product); });
    return out;
}

std::int64_t sum_of(const std::vector<BasketLine> &lines) {
    std::int64_t sum = 0;
    for (const BasketLine &each : lines) {
        const auto line = money::multiply(each.quantity, each.unit_minor);
        const auto next = line ? money::add(sum, *line) : std::nullopt;
        if (!next || *next > money::largest_amount) refuse("lines");
        sum = *next;
    }
    return sum;
}

/// What is free of each line of the basket: the cheapest units of each group of buy + get.
std::vector<std::int64_t> free_of(const OfferTerms &terms, const Basket &basket) {
    std::vector<std::size_t> order; // the dearest first
    std::int64_t units = 0;
    for (std::size_t i = 0; i < basket.lines.size(); ++i) {
        if (!is_among(terms.products, basket.lines[i].product)) continue;
        order.push_back(i);
        units += basket.lines[i].quantity;
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return basket.lines[a].unit_minor > basket.lines[b].unit_minor;
    });
    const std::int64_t group = terms.buy + terms.get;
    const auto free_before = [&](std::int64_t count) { // of each group the last ones are free
        return count / group * terms.get + std::max<std::int64_t>(0, count % group - terms.buy);
    };
    const std::int64_t whole = units / group * group; // what is no whole group earns nothing
    std::vector<std::int64_t> free(basket.lines.size(), 0);
    std::int64_t at = 0; // units so far
    for (const std::size_t i : order) {
        const BasketLine &line = basket.lines[i];
        const std::int64_t from = std::min(at, whole), until = std::min(at + line.quantity, whole);
        free[i] = (free_before(until) - free_before(from)) * line.unit_minor;
        at += line.quantity;
    }
    return free;
}

std::int64_t sum_of(const std::vector<std::int64_t> &sums) {
    return std::accumulate(sums.begin(), sums.end(), std::int64_t{0});
}

/// What is left of a basket to take something off.
struct Left {
    std::int64_t all = 0;
    std::vector<std::int64_t> lines;

    explicit Left(const Basket &basket) : all(basket.amount_minor) {
        for (const BasketLine &each : basket.lines) lines.push_back(each.amount_minor());
    }
    void take(std::int64_t discount, const std::vector<std::int64_t> &shares) {
        all = std::max<std::int64_t>(0, all - discount);
        for (std::size_t i = 0; i < lines.size(); ++i) lines[i] = std::max<std::int64_t>(0, lines[i] - shares[i]);
    }
    void take(const GivenOffer &given, const Basket &basket) {
        std::vector<std::int64_t> shares(lines.size(), 0);
        if (given.lines.empty()) shares = spread(std::min(given.discount_minor, sum_of(lines)), lines);
        for (std::size_t i = 0; i < lines.size(); ++i)
            for (const LineShare &each : given.lines)
                if (each.number == basket.lines[i].number) shares[i] += each.discount_minor;
        take(given.discount_minor, shares);
    }
};

/// Cuts an offer to what is left, and says where its discount belongs.
void give(OfferChoice &offer, Left &left, const Basket &basket) {
    offer.discount_minor = std::min(offer.discount_minor, left.all);
    std::vector<std::int64_t> shares;
    if (!basket.lines.empty()) {
        for (std::size_t i = 0; i < left.lines.size(); ++i) shares.push_back(std::min(offer.limits[i], left.lines[i]));
        offer.discount_minor = std::min(offer.discount_minor, sum_of(shares));
        shares = spread(offer.discount_minor, shares);
    }
    if (offer.discount_minor <= 0) return;
    offer.is_given = true;
    left.take(offer.discount_minor, shares);
    for (std::size_t i = 0; i < shares.size(); ++i)
        if (shares[i] > 0) offer.lines.push_back({basket.lines[i].number, shares[i]});
}
} // namespace

Basket read_basket(std::string_view text) {
    json::Document document;
    if (!document.parse(text) || !document.root().is_object()) refuse("object");
    const json::Value root = document.root();
    Basket out;
    if (const auto lines = root.find("lines"); lines && !lines->is_null()) {
        if (!lines->is_array() || lines->size() > most_lines) refuse("lines");
        std::int64_t units = 0;
        for (const json::Member each : lines->members()) {
            if (!each.value.is_object()) refuse("lines");
            BasketLine line;
            if (const auto product = each.value.find("product_id"); product && !product->is_null()) {
                line.product = parse_uuid(product->as_string());
                if (!line.product) refuse("product_id");
            }
            line.number = number(each.value, "line_no", static_cast<std::int64_t>(out.lines.size()) + 1, most_units);
            line.quantity = number(each.value, "quantity", 1, most_units);
            const std::int64_t price = number(each.value, "price_minor", 0, money::largest_amount);
            line.unit_minor = number(each.value, "unit_minor", price, money::largest_amount);
            units += line.quantity;
            out.lines.push_back(line);
        }
        if (units > most_units) refuse("lines");
    }
    out.amount_minor = number(root, "amount_minor", sum_of(out.lines), money::largest_amount);
    if (const auto currency = root.find("currency"); currency && currency->is_string())
        out.currency = currency->as_string();
    return out;
}

std::int64_t discount_of(const OfferTerms &terms, const Basket &basket) {
    const std::vector<BasketLine> lines = lines_for(terms, basket);
    const bool has_lines = !basket.lines.empty();
    const std::int64_t base = has_lines ? std::min(sum_of(lines), basket.amount_minor) : basket.amount_minor;
    std::int64_t discount = 0;
    switch (terms.kind) {
    case OfferKind::percent: discount = money::share(base, terms.hundredths_of_percent, 10000).value_or(0); break;
    case OfferKind::amount: discount = terms.amount_minor; break;
    case OfferKind::buy_x_get_y: discount = sum_of(free_of(terms, basket)); break;
    }
    return std::min({discount, base, terms.max_discount_minor.value_or(discount)});
}

std::vector<std::int64_t> discount_limits(const OfferTerms &terms, const Basket &basket) {
    if (terms.kind == OfferKind::buy_x_get_y) return free_of(terms, basket);
    std::vector<std::int64_t> out;
    for (const BasketLine &each : basket.lines)
        out.push_back(is_among(terms.products, each.product) ? each.amount_minor() : 0);
    return out;
}

std::vector<std::int64_t> spread(std::int64_t sum, const std::vector<std::int64_t> &weights) {
    __extension__ using Wide = __int128;
    const Wide all = std::accumulate(weights.begin(), weights.end(), Wide{0});
    std::vector<std::int64_t> out(weights.size(), 0);
    if (all <= 0 || sum <= 0) return out;
    std::vector<std::pair<Wide, std::size_t>> remainders;
    std::int64_t missing = sum;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const Wide product = Wide{sum} * weights[i];
        out[i] = static_cast<std::int64_t>(product / all);
        missing -= out[i];
        remainders.emplace_back(product % all, i);
    }
    std::stable_sort(remainders.begin(), remainders.end(),
                     [](const auto &a, const auto &b) { return a.first > b.first; });
    for (std::size_t i = 0; missing > 0; ++i, --missing) ++out[remainders[i].second]; // fewer than there are weights
    return out;
}

std::string_view why_not(const OfferTests &tests) noexcept {
    if (!tests.is_live) return "not_valid_now";
    if (!tests.has_voucher) return "needs_voucher";
    if (!tests.is_left) return "used_up";
    if (!tests.is_left_for_customer) return "used_by_customer";
    if (!tests.fits_tier) return "another_tier";
    if (!tests.fits_segment) return "another_segment";
    if (!tests.fits_first_visit) return "not_first_visit";
    if (!tests.fits_location) return "another_location";
    if (!tests.fits_service) return "another_service";
    if (!tests.fits_products) return "other_products";
    if (!tests.fits_weekday) return "another_weekday";
    if (!tests.fits_hour) return "another_hour";
    if (!tests.fits_currency) return "another_currency";
    if (!tests.reaches_minimum) return "below_minimum";
    return "";
}

void choose(std::vector<OfferChoice> &offers, const Basket &basket, const std::vector<GivenOffer> &given) {
    std::vector<std::size_t> order(offers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        if (offers[a].priority != offers[b].priority) return offers[a].priority > offers[b].priority;
        return offers[a].discount_minor > offers[b].discount_minor;
    });
    Left left(basket);
    bool is_first = true, are_stackable = true;
    std::vector<std::string_view> groups;
    const auto note = [&](const auto &offer) {
        is_first = false;
        are_stackable = are_stackable && offer.is_stackable;
        if (!offer.stack_group.empty()) groups.emplace_back(offer.stack_group);
    };
    for (const GivenOffer &each : given) {
        left.take(each, basket);
        note(each);
    }
    for (const std::size_t index : order) {
        OfferChoice &each = offers[index];
        const bool joins = is_first || (are_stackable && each.is_stackable);
        const bool is_taken =
            !each.stack_group.empty() && std::find(groups.begin(), groups.end(), each.stack_group) != groups.end();
        if (!joins || is_taken || each.discount_minor <= 0) continue;
        OfferChoice attempt = each;
        give(attempt, left, basket);
        if (!attempt.is_given) continue;
        each = std::move(attempt);
        note(each);
    }
}

} // namespace usher::loyalty
