// The subscriptions, kept per backend.
#pragma once
#include "pg/pg.hpp"

namespace usher::events {

struct Subscription {
    std::string pattern; // an event, "prefix.*" or "*"
    std::string consumer;
    bool is_sync;
    Oid handler; // InvalidOid: none, or its function does not exist (its feature was dropped)
    Oid owner;   // of the handler

    [[nodiscard]] bool matches(std::string_view event) const;
};

using Subscriptions = std::vector<Subscription>; // in the order in which they were made

/// What is committed now, and the transaction's own changes.
const Subscriptions &subscriptions();

} // namespace usher::events
