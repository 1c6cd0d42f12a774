#include "common/jwks.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace usher {

namespace {

[[noreturn]] void refuse(const std::string &message) { throw Error("22023", message); }

std::string text_of(json::Value key, std::string_view member) {
    const auto value = key.find(member);
    return value ? value->as_string() : std::string();
}

/// May the key verify signatures? `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3) say so, where present.
bool is_for_signatures(json::Value key) {
    if (key.find("use") && text_of(key, "use") != "sig") return false;
    const auto operations = key.find("key_ops");
    if (!operations) return true;
    for (const json::Member operation : operations->members())
        if (operation.value.equals("verify")) return true;
    return false;
}

/// What an RSA key or one on a known curve can be used for; nothing for types that we do not know.
std::vector<JwtAlgorithm> algorithms_of(json::Value key) {
    using enum JwtAlgorithm;
    if (key.find("alg")) {
        const auto named = parse_jwt_algorithm(text_of(key, "alg"));
        return named ? std::vector{*named} : std::vector<JwtAlgorithm>();
    }
    const std::string type = text_of(key, "kty"), curve = text_of(key, "crv");
    if (type == "RSA") return {rs256, ps256};
    if (type == "OKP" && curve == "Ed25519") return {eddsa};
    if (type != "EC") return {};
    if (curve == "P-256") return {es256};
    if (curve == "P-384") return {es384};
    if (curve == "P-521") return {es512};
    return {};
}

} // namespace

KeySet KeySet::parse(std::string_view document, std::span<const JwtAlgorithm> algorithms) {
    json::Document parsed;
    if (!parsed.parse(document, {max_bytes, 16})) refuse("key set is not valid JSON: " + parsed.error());
    const auto list = parsed.root().find("keys");
    if (!list || !list->is_array()) refuse("key set must be a JSON object with an array \"keys\"");
    if (list->size() > max_keys) refuse("key set has more than " + std::to_string(max_keys) + " keys");
    KeySet set;
    std::string unusable; // why the first of them is
    std::size_t number = 0;
    for (const json::Member element : list->members()) {
        const json::Value key = element.value;
        const std::string which = "key " + std::to_string(++number) + " of the key set ";
        if (!key.is_object()) refuse(which + "is not a JSON object");
        if (text_of(key, "kty") == "oct") refuse(which + "is symmetric: whoever knows it could make tokens");
        if (key.find("d")) refuse(which + "is a private key");
        if (!is_for_signatures(key)) continue;
        const std::string kid = text_of(key, "kid");
        for (const JwtAlgorithm algorithm : algorithms_of(key)) {
            if (std::find(algorithms.begin(), algorithms.end(), algorithm) == algorithms.end()) continue;
            if (set.choose(kid, to_string(algorithm)).key != nullptr && !kid.empty())
                refuse(which + "has the kid of another one");
            try {
                set.keys_.push_back({kid, JwtKey::from_jwk(key.raw(), algorithm)});
            } catch (const Error &error) { // its issuer has others
                if (unusable.empty()) unusable = ": " + which + "is not usable: " + error.what();
            }
        }
    }
    if (set.keys_.empty()) refuse("key set has no key for one of the algorithms" + unusable);
    return set;
}

KeySet::Choice KeySet::choose(std::string_view kid, std::string_view algorithm) const noexcept {
    Choice choice{nullptr, "unknown_key"};
    for (const Named &each : keys_) {
        if (!kid.empty() && each.kid != kid) continue;
        if (to_string(each.key.algorithm()) != algorithm) {
            if (choice.key == nullptr) choice.error = "wrong_algorithm";
            continue;
        }
        if (choice.key != nullptr) return {nullptr, "unknown_key"}; // without a kid: more than one would do
        choice = {&each.key, nullptr};
    }
    return choice;
}

} // namespace usher
