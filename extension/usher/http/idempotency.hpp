// Answers kept for a repeated Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07).
//
// The answer is a row of the same transaction as what the request did: both are there or neither. Kept are successes
// only; a refusal has changed nothing, so that the same request may be tried again.
#pragma once
#include "usher/http/message.hpp"

namespace usher::http {

class StoredAnswer {
public:
    /// Takes the key for this transaction. An answer when the request ends here: the stored one, 409 while another
    /// transaction works on it, 422 when the key came with another request before.
    std::optional<Answer> begin(const Request &request, std::string_view key);
    /// Keeps the answer; without a begin(), nothing.
    void keep(const Answer &answer) const;

private:
    std::string principal_, key_hash_, fingerprint_; // who, and digests: keys and requests may hold secrets
};

} // namespace usher::http
