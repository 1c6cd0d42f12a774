// Which offers there are for a customer in a situation, and what each takes off.
#pragma once
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/offers/offer_rule.hpp"

namespace usher::loyalty {

/// What offers are used for: an order, a booking, whatever has an id.
struct Reference {
    std::string type;
    Uuid id;
};

struct Question {
    Uuid customer;
    Instant at = 0;
    std::string context;          // a basket, and where: {"location_id", "service_id", "time_zone", "takes_place_at"}
    std::optional<Uuid> offer;    // this one only, whatever its keys
    bool has_voucher = false;     // for it
    std::optional<Reference> use; // what it has been given already stays, and comes first
};

struct JudgedOffer {
    Uuid id;
    std::string title;
    int version = 0;
    std::string_view why; // "applies", or why it is not given
    OfferChoice choice;
    std::int64_t amount_minor = 0; // of a use: what it is taken off
};

struct Judgement {
    Basket basket;
    std::vector<JudgedOffer> offers; // the highest priority first
};

Judgement judge(const Schema &schema, const Question &question);

/// What was given for a reference before, judged by what the reference is now: whether it would be given, and what it
/// takes off. Terms are those that each had, conditions those of now.
std::vector<JudgedOffer> judge_uses(const Schema &schema, const Reference &reference, Instant at,
                                    std::string_view facts);

/// {"line_no", "discount_minor"} of each.
std::string lines_json(const std::vector<LineShare> &lines, std::string_view reason);

} // namespace usher::loyalty
