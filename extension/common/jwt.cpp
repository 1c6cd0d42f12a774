#include "common/jwt.hpp"

#include <cmath>
#include <cstring>

#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/text.hpp"

namespace usher {

namespace {

constexpr json::Limits token_limits{JwtToken::max_bytes, 16};

/// A NumericDate (RFC 7519 section 2: seconds, fractions allowed) in microseconds; far instants saturate.
std::optional<std::int64_t> numeric_date_us(json::Value value) {
    constexpr std::int64_t second = 1000000;
    constexpr std::int64_t far_s = 4000000000000; // about the year 128,000: safely within microseconds of int64
    if (const auto seconds = value.as_int64()) {
        if (*seconds > far_s) return far_s * second;
        if (*seconds < -far_s) return -far_s * second;
        return *seconds * second;
    }
    const auto fraction = value.as_double();
    if (!fraction) return std::nullopt;
    if (*fraction > static_cast<double>(far_s)) return far_s * second;
    if (*fraction < -static_cast<double>(far_s)) return -far_s * second;
    return static_cast<std::int64_t>(std::floor(*fraction * static_cast<double>(second)));
}

} // namespace

std::string_view result_code(JwtError error) noexcept {
    switch (error) {
    case JwtError::none: return {};
    case JwtError::too_large:
    case JwtError::malformed:
    case JwtError::unsupported_header: return "invalid_token";
    case JwtError::wrong_algorithm: return "wrong_algorithm";
    case JwtError::wrong_type: return "wrong_token_type";
    case JwtError::invalid_signature: return "invalid_signature";
    case JwtError::invalid_claims: return "invalid_claims";
    case JwtError::expired: return "token_expired";
    case JwtError::not_yet_valid: return "token_not_yet_valid";
    case JwtError::wrong_issuer: return "wrong_issuer";
    case JwtError::wrong_audience: return "wrong_audience";
    }
    return "invalid_token";
}

std::string_view describe(JwtError error) noexcept {
    switch (error) {
    case JwtError::none: return "valid";
    case JwtError::too_large: return "token longer than 16384 bytes";
    case JwtError::malformed:
        return "token is not three parts of canonical base64url with JSON objects in the first two";
    case JwtError::unsupported_header: return "token uses a header extension that is not supported";
    case JwtError::wrong_algorithm: return "token names another algorithm than that of the key";
    case JwtError::wrong_type: return "token is of another type";
    case JwtError::invalid_signature: return "signature does not match";
    case JwtError::invalid_claims: return "a claim is missing or of the wrong kind";
    case JwtError::expired: return "token has expired";
    case JwtError::not_yet_valid: return "token is not valid yet";
    case JwtError::wrong_issuer: return "token is from another issuer";
    case JwtError::wrong_audience: return "token is for another audience";
    }
    return "invalid token";
}

// --- Parsing ------------------------------------------------------------------------------------------------

JwtError JwtToken::parse_into(std::string_view text) {
    registered_ = {};
    expires_us_.reset();
    not_before_us_.reset();
    error_ = read(text);
    if (error_ != JwtError::none) {
        payload_.clear();
        claims_.parse("null"); // nothing refers to what is gone
        registered_ = {};
    }
    return error_;
}

JwtError JwtToken::read(std::string_view text) {
    if (text.size() > max_bytes) return JwtError::too_large;
    const std::size_t first = text.find('.');
    if (first == std::string_view::npos) return JwtError::malformed;
    const std::size_t second = text.find('.', first + 1);
    if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
        return JwtError::malformed;
    signed_part_ = text.substr(0, second);
    if (!base64url_decode(text.substr(first + 1, second - first - 1), payload_) ||
        !base64url_decode(text.substr(second + 1), signature_))
        return JwtError::malformed;
    // An unsecured token (RFC 7515 A.5) has no signature at all.
    if (signature_.empty()) return JwtError::malformed;
    // Tokens that one key has signed mostly have one header: it need not be read again.
    if (const std::string_view header = text.substr(0, first); header.empty() || header != header_text_) {
        header_text_.clear();
        if (!base64url_decode(header, header_)) return JwtError::malformed;
        if (const JwtError error = read_header(); error != JwtError::none) return error;
        header_text_ = header;
    }
    return read_claims();
}

JwtError JwtToken::read_header() {
    algorithm_.clear();
    kid_.clear();
    type_.clear();
    if (!header_json_.parse(header_, token_limits) || !header_json_.root().is_object()) return JwtError::malformed;
    bool has_algorithm = false;
    std::string buffer;
    for (const json::Member member : header_json_.root().members()) {
        const std::string_view name = member.key_view(buffer);
        std::string *text = nullptr;
        if (name == "alg") {
            text = &algorithm_;
            has_algorithm = true;
        } else if (name == "kid") {
            text = &kid_;
        } else if (name == "typ") {
            text = &type_;
        } else if (name == "crit" || name == "b64") {
            return JwtError::unsupported_header; // no extension is understood, so none may be critical
        }
        if (text == nullptr) continue;
        if (!member.value.is_string()) return JwtError::malformed;
        text->assign(member.value.view(buffer));
    }
    return has_algorithm ? JwtError::none : JwtError::malformed;
}

JwtError JwtToken::read_claims() {
    if (!claims_.parse(payload_, token_limits) || !claims_.root().is_object()) return JwtError::malformed;
    std::string buffer;
    for (const json::Member member : claims_.root().members()) {
        const std::string_view name = member.key_view(buffer);
        const json::Value value = member.value;
        if (name == "client_id") registered_.client_id = value;
        if (name.size() != 3) continue; // all the others have three letters
        const auto is = [&](const char(&claim)[4]) { return std::memcmp(name.data(), claim, 3) == 0; };
        if (is("exp")) {
            if (!(expires_us_ = numeric_date_us(value))) return JwtError::invalid_claims;
        } else if (is("nbf")) {
            if (!(not_before_us_ = numeric_date_us(value))) return JwtError::invalid_claims;
        } else if (is("iat")) {
            if (!numeric_date_us(value)) return JwtError::invalid_claims;
        } else if (is("iss") || is("sub") || is("jti")) {
            if (!value.is_string()) return JwtError::invalid_claims;
            (is("iss") ? registered_.iss : is("sub") ? registered_.sub : registered_.jti) = value;
        } else if (is("sid")) {
            registered_.sid = value;
        } else if (is("aud")) {
            if (!value.is_string() && !value.is_array()) return JwtError::invalid_claims;
            if (value.is_array())
                for (const json::Member element : value.members())
                    if (!element.value.is_string()) return JwtError::invalid_claims;
            registered_.aud = value;
        }
    }
    return JwtError::none;
}

// --- Verification -------------------------------------------------------------------------------------------

JwtError JwtToken::verify(const JwtKey &key, const JwtRules &rules) {
    if (error_ != JwtError::none) return error_;
    if (algorithm_ != to_string(key.algorithm())) return JwtError::wrong_algorithm;
    if (!key.verify(signed_part_, signature_)) return JwtError::invalid_signature;
    if (!rules.type.empty() && !type_matches(rules.type)) return JwtError::wrong_type;
    return check_claims(rules);
}

bool JwtToken::type_matches(std::string_view wanted) const noexcept {
    std::string_view type = type_;
    constexpr std::string_view prefix = "application/"; // RFC 7515 section 4.1.9 lets it be left out
    if (type.size() > prefix.size() && equal_ignoring_case(type.substr(0, prefix.size()), prefix))
        type.remove_prefix(prefix.size());
    return equal_ignoring_case(type, wanted);
}

JwtError JwtToken::check_claims(const JwtRules &rules) const {
    if (rules.require_expiry && !expires_us_) return JwtError::invalid_claims;
    if (const JwtError error = check_times(expires_us_, not_before_us_, rules.now_us, rules.leeway_s);
        error != JwtError::none)
        return error;
    if (!rules.issuer.empty() && (!registered_.iss || !registered_.iss->equals(rules.issuer)))
        return JwtError::wrong_issuer;
    if (!rules.audience.empty() && !has_audience(rules.audience)) return JwtError::wrong_audience;
    return JwtError::none;
}

bool JwtToken::has_audience(std::string_view audience) const {
    const auto &meant = registered_.aud;
    if (!meant) return false;
    if (meant->is_array())
        for (const json::Member element : meant->members())
            if (element.value.equals(audience)) return true;
    return meant->equals(audience);
}

JwtError check_times(std::optional<std::int64_t> expires_us, std::optional<std::int64_t> not_before_us,
                     std::int64_t now_us, std::int64_t leeway_s) noexcept {
    const std::int64_t leeway_us = leeway_s * 1000000;
    if (expires_us && now_us - leeway_us >= *expires_us) return JwtError::expired;
    if (not_before_us && now_us + leeway_us < *not_before_us) return JwtError::not_yet_valid;
    return JwtError::none;
}

// --- Signing ------------------------------------------------------------------------------------------------

std::string sign_jwt(std::string_view payload, const JwtKey &key, std::string_view type, std::string_view kid) {
    json::Document document;
    if (!document.parse(payload, token_limits)) throw Error("22023", "token payload is not valid: " + document.error());
    if (!document.root().is_object()) throw Error("22023", "token payload must be a JSON object");
    std::string header = "{\"alg\":\"";
    header += to_string(key.algorithm());
    header += '"';
    if (!type.empty()) {
        header += ",\"typ\":";
        json::append_string(header, type);
    }
    if (!kid.empty()) {
        header += ",\"kid\":";
        json::append_string(header, kid);
    }
    header += '}';
    std::string token = base64url_encode(header);
    token += '.';
    token += base64url_encode(payload);
    const std::string signature = base64url_encode(key.sign(token));
    if (token.size() + 1 + signature.size() > JwtToken::max_bytes)
        throw Error("22023", "token would be longer than 16384 bytes", {}, "Put fewer or shorter claims into it.");
    token += '.';
    token += signature;
    return token;
}

} // namespace usher
