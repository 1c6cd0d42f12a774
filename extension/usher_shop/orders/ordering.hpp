// Who may write what an order stands at: nobody but the rules in here. Status and sums follow from its lines and from
// what was paid.
#pragma once
#include "usher_shop/shop_kit.hpp"

namespace usher::shop {

/// While one lives, this backend may write status and sums of that order, and, while it is being placed, which stock
/// its lines hold. Errors arrive as exceptions, so it always ends.
class Ordering {
public:
    explicit Ordering(const Uuid &order, bool is_placing = false);
    ~Ordering();
    Ordering(const Ordering &) = delete;
    Ordering &operator=(const Ordering &) = delete;
    static bool runs_for(const Uuid &order);
    static bool is_placing(const Uuid &order);

private:
    const Ordering *outer_;
    Uuid order_;
    bool is_placing_;
};

/// Why an order is settled.
enum class Cause : std::uint8_t {
    change,       // of its lines or its status, or money that was recorded
    payment,      // an event of payments says what they have come to
    failed_refund // a refund has failed or was cancelled: what came back by that is not proposed once more
};

/// Whether orders keep apart what was recorded, handed back, kept and asked for: with the scripts of 0.9.0 they do not,
/// know what is paid and what went back as one sum each, and nobody hears of another one by settle_order().
bool keeps_sums(const Schema &schema);

/// What follows from lines and payments: placed becomes paid when enough is, paid becomes fulfilled when all that is
/// left has been sent, and cancelled when nothing is left; what is paid too much is proposed for refund, and whoever
/// asks for money hears of another sum.
void settle_order(const Schema &schema, const Uuid &order, Cause cause = Cause::change);

/// Gives the lines of a cart what order_discounts grants: of a line, or of all lines in proportion to what they cost
/// still. No line gets more than it costs.
void spread_discounts(const Schema &schema, const Uuid &order);

[[noreturn]] void refuse_order(const Uuid &order); // US005, the same whether it is unknown or hidden

} // namespace usher::shop
