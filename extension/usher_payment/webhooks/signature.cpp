#include "usher_payment/webhooks/signature.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>

namespace usher::payment {

namespace {
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

/// Calls with each part, at most so many.
template <class F> void each_part(std::string_view text, char separator, std::size_t most, F &&f) {
    for (std::size_t i = 0; i < most; ++i) {
        const std::size_t end = text.find(separator);
        f(trim(text.substr(0, end), header_space));
        if (end == std::string_view::npos) return;
        text.remove_prefix(end + 1);
    }
}

std::string_view view_of(const Sha256 &mac) noexcept {
    return {reinterpret_cast<const char *>(mac.data()), mac.size()};
}

std::optional<std::string> standard_key(std::string_view secret) {
    if (secret.starts_with(standard_prefix)) secret.remove_prefix(standard_prefix.size());
    return base64_decode(secret);
}
} // namespace

// What has another length cannot be one, and its length is no secret.
void Signed::Statement::add(const std::optional<std::string> &bytes) noexcept {
    if (!bytes || bytes->size() != sizeof(Sha256) || count == candidates.size()) return;
    std::copy(bytes->begin(), bytes->end(), candidates[count].begin());
    ++count;
}

/// All candidates are compared, so that the time does not tell which one was close.
bool Signed::Statement::has(const Sha256 &mac) const noexcept {
    bool found = false;
    for (std::size_t i = 0; i < count; ++i) found = constant_time_equal(view_of(mac), view_of(candidates[i])) || found;
    return found;
}

bool Signed::Statement::is_recent(Instant now, std::int64_t tolerance) const noexcept {
    const std::int64_t age = now / one_second - *seconds;
    return age <= tolerance && age >= -tolerance;
}

const Signed::Statement &Signed::stripe() {
    if (stripe_) return *stripe_;
    Statement &said = stripe_.emplace();
    said.header = headers_("stripe-signature");
    each_part(said.header, ',', most_signatures, [&](std::string_view part) {
        if (part.starts_with("t=")) said.signed_at = part.substr(2);
        if (part.starts_with("v1=")) said.add(hex_decode(part.substr(3)));
    });
    said.seconds = parse_seconds(said.signed_at);
    return said;
}

const Signed::Statement &Signed::standard() {
    if (standard_) return *standard_;
    Statement &said = standard_.emplace();
    said.header = headers_("webhook-signature");
    said.id = headers_("webhook-id");
    said.time = headers_("webhook-timestamp");
    said.signed_at = said.time;
    each_part(said.header, ' ', most_signatures, [&](std::string_view part) {
        if (part.starts_with("v1,")) said.add(base64_decode(part.substr(3)));
    });
    if (!said.id.empty() && said.id.find('.') == std::string::npos) said.seconds = parse_seconds(said.signed_at);
    return said;
}

bool Signed::by_stripe(const Verifier &verifier, Instant now) {
    const Statement &said = stripe();
    if (!said.seconds || said.count == 0 || !said.is_recent(now, verifier.tolerance_seconds)) return false;
    return said.has(hmac_sha256(verifier.secret, {said.signed_at, ".", body_}));
}

bool Signed::by_standard(const Verifier &verifier, Instant now) {
    const Statement &said = standard();
    if (!said.seconds || said.count == 0 || !said.is_recent(now, verifier.tolerance_seconds)) return false;
    std::optional<std::string> key = standard_key(verifier.secret);
    if (!key) return false;
    const bool is_good = said.has(hmac_sha256(*key, {said.id, ".", said.signed_at, ".", body_}));
    wipe(*key);
    return is_good;
}

bool Signed::by_hmac(const Verifier &verifier) {
    const std::string header = headers_(verifier.header);
    std::string_view text = trim(header, header_space);
    if (text.starts_with("sha256=")) text.remove_prefix(7);
    std::optional<std::string> given = hex_decode(text);
    if (!given || given->size() != sizeof(Sha256)) given = base64_decode(text);
    return given && constant_time_equal(view_of(hmac_sha256(verifier.secret, {body_})), *given);
}

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
    return utf8_length(secret) < 16 ? "secret must have at least 16 characters" : "";
}

bool Signed::by(const Verifier &verifier, Instant now) {
    switch (verifier.scheme) {
    case Scheme::stripe: return by_stripe(verifier, now);
    case Scheme::standard: return by_standard(verifier, now);
    case Scheme::hmac: return by_hmac(verifier);
    }
    return false;
}

} // namespace usher::payment
