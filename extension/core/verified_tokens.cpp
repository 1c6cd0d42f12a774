#include "core/verified_tokens.hpp"

#include <algorithm>
#include <cstring>

namespace usher {

VerifiedTokens::Place *VerifiedTokens::set_of(const Sha256 &hash) noexcept {
    std::uint32_t number;
    std::memcpy(&number, hash.data(), sizeof number);
    return &places_[number % sets * ways];
}

VerifiedToken *VerifiedTokens::find(const Sha256 &hash) noexcept {
    if (places_.empty()) return nullptr;
    Place *const set = set_of(hash);
    for (Place *place = set; place != set + ways; ++place) {
        if (place->used == 0 || place->hash != hash) continue;
        place->used = ++clock_;
        return &place->token;
    }
    return nullptr;
}

VerifiedToken &VerifiedTokens::insert(const Sha256 &hash) {
    if (places_.empty()) places_.resize(sets * ways);
    Place *const set = set_of(hash);
    Place *const place = std::min_element(set, set + ways, [](const Place &a, const Place &b) { return a.used < b.used; });
    place->hash = hash;
    place->used = ++clock_;
    place->token.parsed.clear();
    place->token.session_id.reset();
    return place->token;
}

void VerifiedTokens::clear() noexcept {
    for (Place &place : places_) place.used = 0;
}

} // namespace usher
