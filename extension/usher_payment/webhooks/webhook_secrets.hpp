// The secrets of a processor as they are stored, kept in the backend: sealed ones stay sealed there.
#pragma once
#include "usher_payment/payment_kit.hpp"
#include "usher_payment/webhooks/signature.hpp"

namespace usher::payment {

struct KeptSecret {
    std::string context; // that it is sealed for
    Scheme scheme;
    std::string header, stored;
    std::int32_t tolerance_seconds;
    std::optional<Instant> expires_at;
};

/// Those that are active, the newest first. Valid until the next call.
const std::vector<KeptSecret> &secrets_of(const Schema &schema, std::string_view processor);

/// As it is registered, and as usher.wrap_secrets() makes it.
inline std::string context_of(const Uuid &id) { return "payment_webhook_secrets.secret:" + to_string(id); }

} // namespace usher::payment
