#include "usher/identity/factors.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "pg/spi.hpp"
#include "usher/identity/master_key.hpp"
#include "usher/identity/used_steps.hpp"
#include "usher/operations/settings.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::identity {

namespace {
constexpr int totp_digits = 6;

constinit pg::Statement find_factors{
    "SELECT id, secret, last_used_step FROM usher.second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL"};
constinit pg::Statement find_factor{
    "SELECT id, secret, last_used_step FROM usher.second_factors WHERE user_id = $1 AND id = $2"};
constinit pg::Statement find_recovery_code{
    "SELECT id, used_at IS NOT NULL FROM usher.recovery_codes WHERE user_id = $1 AND code_hash = $2"};

// The condition is looked at again after waiting for somebody who uses the same code.
constinit pg::Statement use_step{R"(
    UPDATE usher.second_factors
    SET last_used_step = $2, last_used_at = clock_timestamp()
    WHERE id = $1 AND last_used_step < $2)"};
constinit pg::Statement use_recovery_code{
    "UPDATE usher.recovery_codes SET used_at = clock_timestamp() WHERE id = $1 AND used_at IS NULL"};

constinit pg::Statement drop_recovery_codes{"DELETE FROM usher.recovery_codes WHERE user_id = $1"};
constinit pg::Statement add_recovery_code{
    "INSERT INTO usher.recovery_codes (user_id, code_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING"};

constinit pg::Statement has_factor{R"(
    SELECT EXISTS (SELECT FROM usher.second_factors f WHERE f.user_id = $1 AND f.confirmed_at IS NOT NULL))"};
constinit pg::Statement skip_generations{
    "UPDATE usher.sessions SET generation_step = 2, parent_token_hash = NULL WHERE user_id = $1 AND status = 'active'"};
constinit pg::Statement lower_sessions{R"(
    UPDATE usher.sessions
    SET assurance_level = 1, authentication_methods = array_remove(array_remove(authentication_methods, 'otp'), 'mfa')
    WHERE user_id = $1 AND status = 'active' AND assurance_level > 1)"};

// With the user's id in it, equal codes of two users have different hashes. 80 random bits need no slow hash.
std::string recovery_hash(const Uuid &user_id, const std::string &normal_code) {
    return sha256_bytes(to_string(user_id) + ':' + normal_code);
}

std::string open_totp_secret(const Uuid &factor_id, std::string_view stored) {
    std::string text = open_secret(stored, "totp:" + to_string(factor_id));
    std::optional<std::string> bytes = base64url_decode(text);
    wipe(text);
    if (!bytes) throw Error("XX001", "the secret of a second factor is damaged");
    return *std::move(bytes);
}

FoundCode compare(const pg::Rows &factors, std::string_view digits) {
    FoundCode found;
    const std::int64_t now_s = pg::clock_time() / one_second;
    for (std::size_t i = 0; i < factors.size(); ++i) {
        const pg::Row row = factors[i];
        const Uuid id = row.uuid(0);
        std::string secret = open_totp_secret(id, row.text(1));
        const TotpMatch match = match_totp(secret, digits, now_s, guc::totp_window, row.int8(2));
        wipe(secret);
        if (!match.step && !match.reused) continue;
        if (found.kind != FoundCode::Kind::nothing && !found.reused) continue;
        found = {FoundCode::Kind::totp, id, match.step.value_or(0), match.reused};
    }
    return found;
}
} // namespace

FoundCode find_code(const Uuid &user_id, std::string_view code) {
    if (const auto digits = normal_digits(code, totp_digits))
        return compare(find_factors.run({pg::uuid(user_id)}), *digits);
    const auto normal = normal_recovery_code(code);
    if (!normal) return {};
    const std::string hash = recovery_hash(user_id, *normal);
    const pg::Rows rows = find_recovery_code.run({pg::uuid(user_id), pg::bytea(hash)});
    if (rows.empty()) return {};
    return {FoundCode::Kind::recovery, rows.front().uuid(0), 0, rows.front().boolean(1)};
}

FoundCode find_code_of(const Uuid &user_id, const Uuid &factor_id, std::string_view code) {
    const auto digits = normal_digits(code, totp_digits);
    return digits ? compare(find_factor.run({pg::uuid(user_id), pg::uuid(factor_id)}), *digits) : FoundCode{};
}

bool use_code(const FoundCode &found) {
    if (found.reused) return false;
    switch (found.kind) {
    case FoundCode::Kind::totp:
        return used_steps::take(found.id, found.step) &&
               use_step.run({pg::uuid(found.id), pg::int8(found.step)}).processed() == 1;
    case FoundCode::Kind::recovery: return use_recovery_code.run({pg::uuid(found.id)}).processed() == 1;
    case FoundCode::Kind::nothing: break;
    }
    return false;
}

std::vector<std::string> renew_recovery_codes(const Uuid &user_id) {
    drop_recovery_codes.run({pg::uuid(user_id)});
    std::vector<std::string> codes;
    while (codes.size() < recovery_code_count) {
        std::string code = make_recovery_code();
        const std::string hash = recovery_hash(user_id, *normal_recovery_code(code));
        if (add_recovery_code.run({pg::uuid(user_id), pg::bytea(hash)}).processed() == 1)
            codes.push_back(std::move(code));
    }
    return codes;
}

void require_second_factor(const Uuid &user_id) {
    if (request::assurance_level() >= 2 || !has_factor.run({pg::uuid(user_id)}).front().boolean(0)) return;
    throw Error(errc::insufficient_user_authentication, "a second factor is required", R"({"acr_values": "aal2"})",
                "Call usher.verify_second_factor() and use the access token that it returns.");
}

void after_factor_change(const Uuid &user_id) {
    skip_generations.run({pg::uuid(user_id)});
    if (!has_factor.run({pg::uuid(user_id)}).front().boolean(0)) {
        lower_sessions.run({pg::uuid(user_id)});
        drop_recovery_codes.run({pg::uuid(user_id)});
    }
}

} // namespace usher::identity
