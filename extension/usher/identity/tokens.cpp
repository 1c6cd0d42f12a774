#include "usher/identity/tokens.hpp"

#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "usher/identity/issuers.hpp"
#include "usher/identity/keys.hpp"
#include "usher/identity/token_cache.hpp"
#include "usher/identity/verified_tokens.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {
constexpr std::string_view reserved[] = {"iss", "sub", "aud",   "exp", "iat", "nbf",
                                         "jti", "sid", "roles", "amr", "acr", "client_id"};

std::string_view setting(const char *value) { return value == nullptr ? std::string_view() : value; }

void append_member(std::string &claims, std::string_view name, std::string_view text) {
    claims += claims.size() == 1 ? "\"" : ",\"";
    claims += name;
    claims += "\":";
    json::append_string(claims, text);
}

void append_member(std::string &claims, std::string_view name, std::int64_t number) {
    claims += ",\"";
    claims += name;
    claims += "\":";
    claims += std::to_string(number);
}

void append_member(std::string &claims, std::string_view name, const std::vector<std::string> &texts) {
    claims += ",\"";
    claims += name;
    claims += "\":[";
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (i > 0) claims += ',';
        json::append_string(claims, texts[i]);
    }
    claims += ']';
}

void append_extra(std::string &claims, std::string_view extra) {
    if (extra.empty()) return;
    json::Document document;
    if (!document.parse(extra, {JwtToken::max_bytes, 16}))
        throw Error(errc::invalid_argument, "claims are not valid: " + document.error());
    if (!document.root().is_object()) throw Error(errc::invalid_argument, "claims must be a JSON object");
    for (const json::Member member : document.root().members()) {
        const std::string key = member.key();
        for (const std::string_view name : reserved)
            if (key == name)
                throw Error(errc::invalid_argument, "claim \"" + key + "\" is set by the server and cannot be given");
        claims += ',';
        json::append_string(claims, key);
        claims += ':';
        claims += member.value.raw();
    }
}

// --- What has been verified before ------------------------------------------------------------------------------

struct Verified {
    VerifiedTokens tokens;
    JwtToken token; // memory used again and again
    std::uint64_t keys = 0, issuers = 0;
    std::string issuer, audience;
    VerifiedToken single; // the last one that was too large for the cache
};

constinit Verified *verified = nullptr; // never destroyed

/// Forgets everything when what it was verified with has changed.
Verified &current_cache() {
    if (verified == nullptr) verified = new Verified;
    const std::uint64_t keys = signing_keys_generation(), issuers = issuers_generation();
    const std::string_view issuer = own_issuer(), audience = setting(guc::token_audience);
    if (verified->keys != keys || verified->issuers != issuers || verified->issuer != issuer ||
        verified->audience != audience) {
        verified->tokens.clear();
        verified->issuer = issuer;
        verified->audience = audience;
        verified->keys = keys;
        verified->issuers = issuers;
    }
    return *verified;
}

const char *code_of(JwtError error) { return error == JwtError::none ? nullptr : result_code(error).data(); }

/// What is to be remembered of a token beside its claims.
struct Findings {
    Uuid user_id{};
    std::optional<Uuid> session_id;
    std::optional<Uuid> client_id;
    std::string_view provider; // of the issuer's row
    std::string_view subject;  // in the token, or in the buffer where it stands with escapes
    std::string buffer;
    std::int64_t believed_until = std::numeric_limits<std::int64_t>::max(); // the token's own end may come before
};

/// One of our own: sub must be a user's id, sid (if any) a session's.
const char *check_own(JwtToken &token, const Verified &cache, Instant now, Findings &out) {
    const SigningKey *const key = find_signing_key(token.kid(), now);
    if (key == nullptr) return "unknown_key";
    const JwtRules rules{cache.issuer, cache.audience, "at+jwt", now, guc::clock_skew, true};
    if (const JwtError error = token.verify(key->for_verifying(), rules); error != JwtError::none)
        return code_of(error);
    const JwtToken::Registered &claims = token.registered();
    const auto user = claims.sub ? parse_uuid(claims.sub->view(out.buffer)) : std::nullopt;
    if (!user) return code_of(JwtError::invalid_claims);
    out.user_id = *user;
    if (claims.sid) {
        out.session_id = parse_uuid(claims.sid->view(out.buffer));
        if (!out.session_id) return code_of(JwtError::invalid_claims);
    }
    if (claims.client_id && !claims.client_id->equals(own_client_id)) {
        out.client_id = parse_uuid(claims.client_id->view(out.buffer));
        if (!out.client_id) return code_of(JwtError::invalid_claims);
    }
    out.believed_until = key->retires_at; // after it the key is no longer to be believed
    return nullptr;
}

/// From outside: sub is anything that an identity can hold. A sid is the issuer's own affair, and none of our sessions.
const char *check_outside(JwtToken &token, const Issuer &issuer, Instant now, Findings &out) {
    constexpr std::size_t max_subject = 1020; // 255 characters
    if (const char *const error = verify_outside_token(token, issuer, now)) return error;
    const auto &subject = token.registered().sub;
    if (!subject || subject->raw().size() <= 2 || subject->raw().size() > max_subject)
        return code_of(JwtError::invalid_claims);
    out.provider = issuer.provider;
    out.subject = subject->view(out.buffer);
    return nullptr;
}

/// The outside issuer that a token claims to be from.
const Issuer *outside_issuer(const JwtToken &token, std::string_view own_issuer) {
    const auto &claimed = token.registered().iss;
    std::string buffer;
    return !claimed || claimed->equals(own_issuer) ? nullptr : find_issuer(claimed->view(buffer));
}

constinit pg::Statement find_link{R"(
    SELECT u.id, i.id, u.is_active, i.last_used_at
    FROM usher.identities i JOIN usher.users u ON u.id OPERATOR(pg_catalog.=) i.user_id
    WHERE i.provider::pg_catalog.text OPERATOR(pg_catalog.=) $1
      AND i.provider_user_id::pg_catalog.text OPERATOR(pg_catalog.=) $2)",
                                  pg::Access::latest};
// SKIP LOCKED: another call is recording the same minute.
constinit pg::Statement note_use{R"(
    UPDATE usher.identities
    SET last_used_at = pg_catalog.clock_timestamp()
    WHERE id OPERATOR(pg_catalog.=) ANY (SELECT i.id
                                         FROM usher.identities i WHERE i.id OPERATOR(pg_catalog.=) $1
                                         FOR NO KEY UPDATE SKIP LOCKED))"};

} // namespace

std::string_view own_issuer() {
    if (const std::string_view issuer = setting(guc::token_issuer); !issuer.empty()) return issuer;
    std::string_view url = setting(guc::public_url);
    while (url.ends_with('/')) url.remove_suffix(1);
    return url.empty() ? own_client_id : url; // never empty: that would be no check
}

namespace {
/// What every token of ours begins with.
std::string first_claims(IssuedToken &issued, const Uuid &user_id, std::string_view client_id, std::int64_t ttl_s) {
    const std::int64_t now_s = pg::clock_time() / one_second;
    issued.jti = to_string(pg::new_uuid());
    issued.expires_in_s = ttl_s;
    issued.expires_at = (now_s + ttl_s) * one_second;
    std::string claims = "{";
    append_member(claims, "iss", own_issuer());
    append_member(claims, "sub", to_string(user_id));
    append_member(claims, "aud", setting(guc::token_audience));
    append_member(claims, "client_id", client_id);
    append_member(claims, "iat", now_s);
    append_member(claims, "nbf", now_s);
    append_member(claims, "exp", now_s + ttl_s);
    append_member(claims, "jti", issued.jti);
    return claims;
}

void sign(IssuedToken &issued, const std::string &claims) {
    const SigningKey &key = current_signing_key();
    issued.token = sign_jwt(claims, key.for_signing(), "at+jwt", key.kid);
}
} // namespace

IssuedToken issue_client_token(const Uuid &user_id, const Client &client) {
    const std::int64_t left_s = (client.ends_at - pg::clock_time()) / one_second;
    IssuedToken issued;
    std::string claims = first_claims(issued, user_id, to_string(client.api_key_id),
                                      std::clamp<std::int64_t>(left_s, 1, guc::access_token_ttl));
    append_member(claims, "scope", client.scope);
    sign(issued, claims + '}');
    return issued;
}

IssuedToken issue_access_token(const Uuid &user_id, const std::optional<Uuid> &session_id,
                               const std::vector<std::string> &roles, std::string_view extra_claims,
                               std::int64_t ttl_us, const Proof *proof) {
    const std::int64_t ttl_s = ttl_us == 0 ? guc::access_token_ttl : ttl_us / one_second;
    if (ttl_s < 1 || ttl_s > max_token_ttl_s)
        throw Error(errc::invalid_argument, "ttl must be between 1 second and 24 hours");
    IssuedToken issued;
    std::string claims = first_claims(issued, user_id, own_client_id, ttl_s);
    if (session_id) append_member(claims, "sid", to_string(*session_id));
    append_member(claims, "roles", roles);
    if (proof != nullptr) {
        append_member(claims, "amr", proof->methods);
        append_member(claims, "acr", "aal" + std::to_string(proof->level));
    }
    append_extra(claims, extra_claims);
    sign(issued, claims + '}');
    return issued;
}

CachedToken look_up_token(std::string_view text) {
    if (text.empty() || text.size() > JwtToken::max_bytes) return {code_of(JwtError::malformed), nullptr};
    Verified &cache = current_cache();
    const Instant now = pg::clock_time();
    const SipHash hash = cache.tokens.hash(text);
    if (VerifiedToken *const known = cache.tokens.find(hash)) {
        const JwtError error = check_times(known->expires_us, known->not_before_us, now, guc::clock_skew);
        return {code_of(error), error == JwtError::none ? known : nullptr};
    }
    JwtToken &token = cache.token;
    if (const JwtError error = token.parse_into(text); error != JwtError::none) return {code_of(error), nullptr};
    Findings findings;
    const Issuer *const issuer = outside_issuer(token, cache.issuer);
    const char *const error =
        issuer != nullptr ? check_outside(token, *issuer, now, findings) : check_own(token, cache, now, findings);
    if (error != nullptr) return {error, nullptr};
    VerifiedToken &place =
        token.payload().size() <= VerifiedTokens::max_claims ? cache.tokens.insert(hash) : cache.single;
    place.claims = token.payload();
    place.provider = findings.provider;
    place.subject = findings.subject;
    place.jti = token.registered().jti ? token.registered().jti->view(findings.buffer) : std::string_view();
    place.user_id = findings.user_id;
    place.session_id = findings.session_id;
    place.client_id = findings.client_id;
    place.expires_us = std::min(*token.expires_us(), findings.believed_until);
    place.not_before_us = token.not_before_us();
    place.parsed.clear();
    return {nullptr, &place, &token};
}

CheckedToken check_token(std::string_view text) {
    const CachedToken found = look_up_token(text);
    CheckedToken checked;
    checked.error = found.error;
    if (found.token == nullptr) return checked;
    checked.claims = found.token->claims;
    checked.user_id = found.token->user_id;
    checked.session_id = found.token->session_id;
    checked.client_id = found.token->client_id;
    checked.expires_at = *found.token->expires_us;
    checked.jti = found.token->jti;
    checked.provider = found.token->provider;
    checked.subject = found.token->subject;
    return checked;
}

std::optional<LinkedUser> find_linked_user(std::string_view provider, std::string_view subject) {
    const pg::AsOwner owner;
    const pg::Rows rows = find_link.run({pg::text(provider), pg::text(subject)});
    if (rows.empty()) return std::nullopt;
    const pg::Row row = rows.front();
    return LinkedUser{row.uuid(0), row.uuid(1), row.boolean(2), row.optional_time(3).value_or(0)};
}

void note_identity_use(const LinkedUser &user) {
    if (pg::clock_time() - user.last_used_at < 60 * one_second || !pg::may_write()) return;
    const pg::AsOwner owner;
    note_use.run({pg::uuid(user.identity)});
}

} // namespace usher::identity
