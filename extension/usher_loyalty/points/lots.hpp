// Lots of points: what was earned at once. The oldest is spent first. What an account owes is paid first.
#pragma once
#include "common/types.hpp"
#include <optional>
#include <vector>

namespace usher::loyalty {

struct Lot {
    Uuid id;
    std::int64_t left = 0; // or, for give_back(): what may come back
};

struct LotChange {
    Uuid id;
    std::int64_t points = 0; // below zero: taken
    friend bool operator==(const LotChange &, const LotChange &) = default;
};

struct Posting {
    std::vector<LotChange> lots;
    std::int64_t balance = 0; // how both change
    std::int64_t debt = 0;
};

/// How much of what is earned is a new lot: the rest has paid debt. Nobody has points and debt at once, so the balance
/// that it leaves says it.
std::int64_t lot_of(std::int64_t points, std::int64_t balance_after);

/// Takes points of the lots, in their order. Nothing when they do not suffice, unless the rest may be owed.
std::optional<Posting> take(std::int64_t points, const std::vector<Lot> &lots, bool may_owe);

/// Gives points back to the lots that they came from, the latest first, after debt was paid. Lots count what was taken
/// of them. Nothing when it is more than was taken.
std::optional<Posting> give_back(std::int64_t points, std::int64_t debt, const std::vector<Lot> &taken);

} // namespace usher::loyalty
