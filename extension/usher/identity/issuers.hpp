// Outside issuers whose tokens are accepted (usher.token_issuers), kept per backend until the table changes
// (usher.token_issuers_inval).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/jwks.hpp"

namespace usher::identity {

struct Issuer {
    std::string issuer;
    std::string provider; // of usher.identities
    std::vector<std::string> audiences;
    KeySet keys;
};

/// The active issuer with that `iss`; nullptr when there is none. Good until the next call.
const Issuer *find_issuer(std::string_view issuer);
/// Changes whenever the issuers were read anew.
std::uint64_t issuers_generation();

/// Form, signature, claims and audience of a parsed token of that issuer: a result code, nullptr when all is well.
const char *verify_outside_token(JwtToken &token, const Issuer &issuer, std::int64_t now_us);

} // namespace usher::identity
