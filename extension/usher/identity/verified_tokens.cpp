#include "usher/identity/verified_tokens.hpp"

#include <algorithm>

namespace usher {

VerifiedTokens::Place *VerifiedTokens::set_of(const SipHash &hash) noexcept { return &places_[hash[0] % sets * ways]; }

VerifiedToken *VerifiedTokens::find(const SipHash &hash) noexcept {
    if (places_.empty()) return nullptr;
    Place *const set = set_of(hash);
    for (Place *place = set; place != set + ways; ++place) {
        if (place->used == 0 || place->hash != hash) continue;
        place->used = ++clock_;
        return &place->token;
    }
    return nullptr;
}

VerifiedToken &VerifiedTokens::insert(const SipHash &hash) {
    if (places_.empty()) places_.resize(sets * ways);
    Place *const set = set_of(hash);
    Place *const place =
        std::min_element(set, set + ways, [](const Place &a, const Place &b) { return a.used < b.used; });
    place->hash = hash;
    place->used = ++clock_;
    place->token.parsed.clear();
    place->token.provider.clear();
    place->token.subject.clear();
    place->token.session_id.reset();
    return place->token;
}

void VerifiedTokens::clear() noexcept {
    for (Place &place : places_) place.used = 0;
}

} // namespace usher
