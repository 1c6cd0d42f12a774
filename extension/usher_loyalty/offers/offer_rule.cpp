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

std::int64_t free_units(const OfferTerms &terms, std::vector<BasketLine> lines) {
    std::stable_sort(lines.begin(), lines.end(),
                     [](const BasketLine &a, const BasketLine &b) { return a.unit_minor > b.unit_minor; });
    const std::int64_t group = terms.buy + terms.get;
    std::int64_t at = 0, free = 0; // units so far, from the dearest on; of each group the last ones are free
    const auto free_before = [&](std::int64_t units) {
        return units / group * terms.get + std::max<std::int64_t>(0, units % group - terms.buy);
    };
    std::int64_t units = 0;
    for (const BasketLine &each : lines) units += each.quantity;
    const std::int64_t whole = units / group * group; // what is no whole group earns nothing
    for (const BasketLine &each : lines) {
        const std::int64_t from = std::min(at, whole), until = std::min(at + each.quantity, whole);
        free += (free_before(until) - free_before(from)) * each.unit_minor;
        at += each.quantity;
    }
    return free;
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
            line.quantity = number(each.value, "quantity", 1, most_units);
            line.unit_minor = number(each.value, "unit_minor", 0, money::largest_amount);
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
    case OfferKind::buy_x_get_y: discount = free_units(terms, lines); break;
    }
    return std::min({discount, base, terms.max_discount_minor.value_or(discount)});
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

void choose(std::vector<OfferChoice> &offers, std::int64_t amount_minor) {
    std::vector<std::size_t> order(offers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        if (offers[a].priority != offers[b].priority) return offers[a].priority > offers[b].priority;
        return offers[a].discount_minor > offers[b].discount_minor;
    });
    std::int64_t left = amount_minor;
    std::vector<std::string_view> groups;
    const OfferChoice *first = nullptr;
    for (const std::size_t index : order) {
        OfferChoice &each = offers[index];
        const bool joins = first == nullptr || (first->is_stackable && each.is_stackable);
        const bool is_taken =
            !each.stack_group.empty() && std::find(groups.begin(), groups.end(), each.stack_group) != groups.end();
        if (!joins || is_taken || each.discount_minor <= 0 || left <= 0) continue;
        each.is_given = true;
        each.discount_minor = std::min(each.discount_minor, left);
        left -= each.discount_minor;
        if (!each.stack_group.empty()) groups.emplace_back(each.stack_group);
        if (first == nullptr) first = &each;
    }
}

} // namespace usher::loyalty
