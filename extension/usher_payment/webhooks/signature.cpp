#include "usher_payment/webhooks/signature.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include "common/text.hpp"
#include <vector>

namespace usher::payment {

namespace {
constexpr std::size_t most_signatures = 16; // of one header; more are not looked at
constexpr std::string_view standard_prefix = "whsec_";

std::optional<std::int64_t> parse_seconds(std::string_view text) {
    if (text.empty() || text.size() > 12) return std::nullopt;
    std::int64_t seconds = 0;
    for (const char c : text) {
        if (!is_digit(c)) return std::nullopt;
        seconds = seconds * 10 + (c - '0');
    }
    return seconds;
}

bool is_recent(std::int64_t seconds, Instant now, std::int64_t tolerance) {
    const std::int64_t age = now / one_second - seconds;
    return age <= tolerance && age >= -tolerance;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (parts.size() < most_signatures) {
        const std::size_t end = text.find(separator);
        parts.push_back(trim(text.substr(0, end), header_space));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return parts;
}

/// All candidates are compared, so that the time does not tell which one was close.
bool matches_any(std::string_view mac, const std::vector<std::string> &candidates) {
    bool found = false;
    for (const std::string &each : candidates) found = constant_time_equal(mac, each) || found;
    return found;
}

bool verify_stripe(const Verifier &verifier, const Headers &headers, std::string_view body, Instant now) {
    std::string_view signed_at;
    std::vector<std::string> candidates;
    const std::string header = headers("stripe-signature");
    for (const std::string_view part : split(header, ',')) {
        if (part.starts_with("t=")) signed_at = part.substr(2);
        if (part.starts_with("v1="))
            if (auto bytes = hex_decode(part.substr(3))) candidates.push_back(std::move(*bytes));
    }
    const auto seconds = parse_seconds(signed_at);
    if (!seconds || candidates.empty()) return false;
    const std::string message = std::string(signed_at) + '.' + std::string(body);
    return matches_any(hmac_sha256(verifier.secret, message), candidates) &&
           is_recent(*seconds, now, verifier.tolerance_seconds);
}

std::optional<std::string> standard_key(std::string_view secret) {
    if (secret.starts_with(standard_prefix)) secret.remove_prefix(standard_prefix.size());
    return base64_decode(secret);
}

bool verify_standard(const Verifier &verifier, const Headers &headers, std::string_view body, Instant now) {
    const std::string id = headers("webhook-id"), signed_at = headers("webhook-timestamp"),
                      header = headers("webhook-signature");
    std::vector<std::string> candidates;
    for (const std::string_view part : split(header, ' '))
        if (part.starts_with("v1,"))
            if (auto bytes = base64_decode(part.substr(3))) candidates.push_back(std::move(*bytes));
    const auto seconds = parse_seconds(signed_at);
    std::optional<std::string> key = standard_key(verifier.secret);
    if (id.empty() || id.find('.') != std::string::npos || !seconds || candidates.empty() || !key) return false;
    const std::string mac = hmac_sha256(*key, id + '.' + signed_at + '.' + std::string(body));
    wipe(*key);
    return matches_any(mac, candidates) && is_recent(*seconds, now, verifier.tolerance_seconds);
}

bool verify_hmac(const Verifier &verifier, const Headers &headers, std::string_view body) {
    const std::string header = headers(verifier.header);
    std::string_view text = trim(header, header_space);
    if (text.starts_with("sha256=")) text.remove_prefix(7);
    std::optional<std::string> given = hex_decode(text);
    if (!given || given->size() != sizeof(Sha256)) given = base64_decode(text);
    return given && constant_time_equal(hmac_sha256(verifier.secret, body), *given);
}
} // namespace

std::optional<Scheme> parse_scheme(std::string_view text) noexcept {
    if (text == "stripe") return Scheme::stripe;
    if (text == "standard") return Scheme::standard;
    if (text == "hmac") return Scheme::hmac;
    return std::nullopt;
}

std::string_view secret_problem(Scheme scheme, std::string_view secret) noexcept {
    if (secret.size() > 1024) return "secret is too long";
    if (scheme == Scheme::standard) {
        const std::optional<std::string> key = standard_key(secret);
        if (!key) return "secret must be \"whsec_\" and base64";
        return key->size() < 16 ? "secret must have at least 16 bytes" : "";
    }
    return secret.size() < 16 ? "secret must have at least 16 characters" : "";
}

bool verify(const Verifier &verifier, const Headers &headers, std::string_view body, Instant now) {
    switch (verifier.scheme) {
    case Scheme::stripe: return verify_stripe(verifier, headers, body, now);
    case Scheme::standard: return verify_standard(verifier, headers, body, now);
    case Scheme::hmac: return verify_hmac(verifier, headers, body);
    }
    return false;
}

} // namespace usher::payment
