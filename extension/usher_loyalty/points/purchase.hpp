// What the events of other features say about purchases. Each names its things in its own way; here they are alike.
#pragma once
#include "common/types.hpp"
#include "usher_loyalty/rules/rule_expression.hpp"
#include <optional>
#include <string>
#include <vector>

namespace usher::loyalty {

struct SourceId {
    std::string_view type; // "booking", "payment", "order"
    Uuid id;
};

/// A purchase that is done, and earns.
struct Purchase {
    SourceId source;
    Uuid customer;
    std::optional<Uuid> user;
    std::int64_t amount_minor = 0;
    std::string currency;
    std::string occurred_at; // a timestamptz in text; empty: now
    bool is_money = true;    // not paid with points or vouchers
    expression::Value facts; // the payload, which rules know as r
};

/// Something of purchases that does not count, or no longer.
struct Deduction {
    SourceId source;
    Uuid cause;
    std::int64_t amount_minor = 0;
    std::string_view kind; // "returned", "not_money", "disputed", "void": a dispute that was won
};

/// What a booking or order stands at, as a whole: what all payments for it have brought and given back, or what it
/// costs without what was returned. The most and the least that were heard of are true, in whatever order events come.
struct Standing {
    SourceId source;
    std::optional<std::int64_t> captured_minor, refunded_minor, kept_minor;
    std::optional<Uuid> payment; // that says so
};

struct PurchaseNews {
    std::optional<Purchase> purchase;
    std::optional<Standing> standing;  // of a source that comes before those of deductions
    std::vector<Deduction> deductions; // by source: bookings, orders, payments
};

/// Nothing in it when the event says nothing that matters here. Throws 22023 for a payload that is none of the event.
/// Without `keeps_standing`, as with the scripts of 0.9.0, refunds are deductions, each of its own.
PurchaseNews read_purchase(std::string_view event, std::string_view payload, bool keeps_standing = true);

/// Puts a member into an object, in the place of one that has its name.
void set_member(expression::Value &object, std::string_view name, expression::Value value);

} // namespace usher::loyalty
