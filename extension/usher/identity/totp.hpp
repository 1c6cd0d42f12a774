// Time-based one-time passwords (RFC 6238, over HOTP of RFC 4226), and the recovery codes that replace them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher {

enum class TotpHash : std::uint8_t { sha1, sha256, sha512 };
std::vector<TotpHash> totp_hashes();

/// What we enrol: HMAC-SHA-1, six digits, steps of 30 s. Authenticator applications know nothing else for sure, and
/// collisions of SHA-1 do not touch HMAC.
struct TotpParameters {
    TotpHash hash = TotpHash::sha1;
    int digits = 6; // 6 to 8
    std::int64_t period_s = 30;
};

/// 160 random bits, the length that RFC 4226 recommends.
inline constexpr std::size_t totp_secret_bytes = 20;

/// The time step that an instant (seconds since the Unix epoch) lies in.
std::int64_t totp_step(std::int64_t seconds, const TotpParameters &parameters = {});

/// The code of a time step.
std::string totp_code(std::string_view secret, std::int64_t step, const TotpParameters &parameters = {});

/// The step within `window` steps of the present one whose code this is, but none up to `last_used`: a step is used
/// once. All steps of the window are computed and compared in constant time.
struct TotpMatch {
    std::optional<std::int64_t> step; // the step to be marked as used
    bool reused = false;              // the code was right, but its step has been used
};
TotpMatch match_totp(std::string_view secret, std::string_view code, std::int64_t now_s, int window,
                     std::int64_t last_used, const TotpParameters &parameters = {});

/// The key URI that authenticator applications read from a QR code:
/// otpauth://totp/ISSUER:ACCOUNT?secret=…&issuer=ISSUER&algorithm=SHA1&digits=6&period=30
std::string totp_uri(std::string_view secret, std::string_view issuer, std::string_view account,
                     const TotpParameters &parameters = {});

/// 80 random bits as four groups of four: "k3qd-7xwa-m2ph-r5ts".
std::string make_recovery_code();
/// The form that is hashed: lower case without hyphens and spaces. Nothing when the text is no recovery code.
std::optional<std::string> normal_recovery_code(std::string_view text);

/// Spaces, which people type into codes, are not part of them. Nothing when the text is not `digits` digits.
std::optional<std::string> normal_digits(std::string_view text, int digits);

} // namespace usher
