#include "usher/identity/totp.hpp"
#include "common/base32.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include "common/random.hpp"
#include "common/text.hpp"
#include <algorithm>
#include <array>

namespace usher {

namespace {
constexpr std::size_t recovery_code_bytes = 10, recovery_code_characters = 16;

struct Digest {
    TotpHash hash;
    std::string_view name; // in a key URI
    HashFunction function;
};
constexpr std::array<Digest, 3> digests{{{TotpHash::sha1, "SHA1", HashFunction::sha1},
                                         {TotpHash::sha256, "SHA256", HashFunction::sha256},
                                         {TotpHash::sha512, "SHA512", HashFunction::sha512}}};
static_assert(std::ranges::all_of(digests,
                                  [](const Digest &each) { return &each - digests.data() == int(each.hash); }));

const Digest &digest_of(TotpHash hash) { return digests.at(static_cast<std::size_t>(hash)); }

void append_encoded(std::string &uri, std::string_view text) {
    for (const char c : text)
        if (is_unreserved(c))
            uri += c;
        else
            append_percent_encoded(uri, c);
}
} // namespace

std::vector<TotpHash> totp_hashes() {
    std::vector<TotpHash> all;
    for (const Digest &each : digests) all.push_back(each.hash);
    return all;
}

std::int64_t totp_step(std::int64_t seconds, const TotpParameters &parameters) { return seconds / parameters.period_s; }

std::string totp_code(std::string_view secret, std::int64_t step, const TotpParameters &parameters) {
    std::array<std::uint8_t, 8> counter{};
    for (std::size_t i = 0; i < counter.size(); ++i)
        counter[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(step) >> (8 * (counter.size() - 1 - i)));
    std::array<std::uint8_t, Hmac::max_bytes> mac{};
    const Hmac hmac(digest_of(parameters.hash).function, secret);
    hmac.compute({reinterpret_cast<const char *>(counter.data()), counter.size()}, mac.data());
    // Dynamic truncation (RFC 4226 section 5.3): the last four bits say where 31 bits are taken from.
    const std::size_t at = mac[hmac.bytes() - 1] & 15;
    std::uint32_t number = (mac[at] & 0x7fU) << 24 | mac[at + 1] << 16 | mac[at + 2] << 8 | mac[at + 3];
    std::string code(static_cast<std::size_t>(parameters.digits), '0');
    for (auto digit = code.rbegin(); digit != code.rend(); ++digit, number /= 10)
        *digit = static_cast<char>('0' + number % 10);
    return code;
}

TotpMatch match_totp(std::string_view secret, std::string_view code, std::int64_t now_s, int window,
                     std::int64_t last_used, const TotpParameters &parameters) {
    const std::int64_t present = totp_step(now_s, parameters);
    TotpMatch match;
    for (std::int64_t step = present - window; step <= present + window; ++step) {
        if (step < 0 || !constant_time_equal(totp_code(secret, step, parameters), code)) continue;
        if (step <= last_used)
            match.reused = true;
        else if (!match.step)
            match.step = step;
    }
    if (match.step) match.reused = false;
    return match;
}

std::string totp_uri(std::string_view secret, std::string_view issuer, std::string_view account,
                     const TotpParameters &parameters) {
    std::string uri = "otpauth://totp/";
    append_encoded(uri, issuer);
    uri += ':';
    append_encoded(uri, account);
    uri += "?secret=" + base32_encode(secret) + "&issuer=";
    append_encoded(uri, issuer);
    uri += "&algorithm=" + std::string(digest_of(parameters.hash).name);
    uri += "&digits=" + std::to_string(parameters.digits) + "&period=" + std::to_string(parameters.period_s);
    return uri;
}

std::string make_recovery_code() {
    std::string code;
    for (const char c : base32_encode(random_bytes(recovery_code_bytes))) {
        if (code.size() % 5 == 4) code += '-';
        code += to_lower(c);
    }
    return code;
}

std::optional<std::string> normal_recovery_code(std::string_view text) {
    std::string code;
    for (const char c : text) {
        if (c == '-' || c == ' ') continue;
        if (c >= 'A' && c <= 'Z')
            code += static_cast<char>(c - 'A' + 'a');
        else if ((c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'))
            code += c;
        else
            return std::nullopt;
        if (code.size() > recovery_code_characters) return std::nullopt;
    }
    if (code.size() != recovery_code_characters) return std::nullopt;
    return code;
}

std::optional<std::string> normal_digits(std::string_view text, int digits) {
    std::string code;
    for (const char c : text) {
        if (c == ' ') continue;
        if (c < '0' || c > '9' || code.size() == static_cast<std::size_t>(digits)) return std::nullopt;
        code += c;
    }
    if (code.size() != static_cast<std::size_t>(digits)) return std::nullopt;
    return code;
}

} // namespace usher
