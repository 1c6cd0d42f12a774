// issue_token and verify_token: our own access tokens, seen from SQL.
#include "common/jwt.hpp" // first: the server has a type of the name text

#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/access/access.hpp"
#include "usher/identity/claims_jsonb.hpp"
#include "usher/identity/token_cache.hpp"
#include "usher/identity/tokens.hpp"
#include "usher/request/current_identity.hpp"

using namespace usher;

namespace {
constinit pg::Statement find_user{"SELECT u.is_active FROM usher.users u WHERE u.id OPERATOR(pg_catalog.=) $1",
                                  pg::Access::read};
} // namespace

/// usher.issue_token(user_id, claims, ttl)
USHER_FUNCTION(usher_identity_issue_token) {
    const pg::Args args(fcinfo);
    access::require("key:manage");
    request::require_whole(); // its token stands for the whole user
    const Uuid user = args.uuid(0);
    {
        const pg::AsOwner owner;
        const pg::Rows rows = find_user.run({pg::uuid(user)});
        if (rows.empty() || !rows.front().boolean(0))
            throw Error(errc::unknown_reference, "user does not exist or is not active");
    }
    const std::string claims = args.is_null(1) ? std::string() : identity::json_of_argument(fcinfo->args[1].value);
    std::int64_t ttl = 0;
    if (const auto given = args.optional_interval_us(2)) {
        ttl = *given;
        if (ttl < 1000000) throw Error(errc::invalid_argument, "ttl must be between 1 second and 24 hours");
    }
    const identity::IssuedToken issued =
        identity::issue_access_token(user, std::nullopt, access::roles_of(user), claims, ttl);
    return pg::result(pg::text(issued.token));
}

namespace {

/// Makes the claims' jsonb, from the index of a token that was just verified, or anew from the text.
bool write_claims(const identity::CachedToken &found) {
    std::string &out = found.token->parsed;
    if (found.parsed != nullptr) return identity::append_claims(out, found.parsed->claims());
    json::Document document;
    return document.parse(found.token->claims, {JwtToken::max_bytes, 16}) &&
           identity::append_claims(out, document.root());
}

} // namespace

/// usher.verify_token(token) -> claims, error
USHER_FUNCTION(usher_identity_verify_token) {
    const pg::Args args(fcinfo);
    const identity::CachedToken found = identity::look_up_token(args.optional_text(0).value_or(""));
    if (found.token == nullptr) return identity::claims_or_error(fcinfo, std::nullopt, found.error);
    VerifiedToken &token = *found.token;
    if (!token.provider.empty()) {
        const auto linked = identity::find_linked_user(token.provider, token.subject);
        if (!linked) return identity::claims_or_error(fcinfo, std::nullopt, errc::unknown_subject.name);
        if (!linked->is_active) return identity::claims_or_error(fcinfo, std::nullopt, errc::token_revoked.name);
    }
    if (token.parsed.empty() && !write_claims(found))
        return identity::claims_or_error(fcinfo, std::nullopt, errc::invalid_claims.name);
    return identity::claims_or_error(fcinfo, PointerGetDatum(token.parsed.data()), {});
}

/// usher._own_issuer()
USHER_FUNCTION(usher_identity_own_issuer) {
    (void)fcinfo;
    return pg::result(pg::text(identity::own_issuer()));
}
