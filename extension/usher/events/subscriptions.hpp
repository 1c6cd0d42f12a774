// The subscriptions, and who may publish what, kept per backend.
#pragma once
#include "pg/pg.hpp"

namespace usher::events {

struct Subscription {
    std::string pattern; // an event, "prefix.*" or "*"
    std::string consumer;
    bool is_sync;
    Oid handler; // InvalidOid: none, or its function does not exist (its feature was dropped)
    bool is_of_extension;

    [[nodiscard]] bool matches(std::string_view event) const;
    /// An extension acts on what a declared publisher says, never on an event that anybody may publish.
    [[nodiscard]] bool trusts(bool has_publisher) const { return has_publisher || !is_of_extension; }
};

using Subscriptions = std::vector<Subscription>; // in the order in which they were made

/// What is committed now, and the transaction's own changes.
const Subscriptions &subscriptions();

/// The extension or application that has declared the event (`publishes` of usher.register_extension()), as which the
/// role publishes it; nullopt when nobody has declared it, so that it is anybody's. Throws 42501 when it belongs to
/// somebody else: to publish it takes the rights of the owner of the extension, or of the application's schema.
std::optional<std::string> publisher(std::string_view event, Oid role);

} // namespace usher::events
