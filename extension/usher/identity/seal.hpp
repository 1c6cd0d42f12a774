// Secrets at rest, sealed under a master key: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. What the
// secret belongs to, its context ("signing_key:KID"), is authenticated with it, so that a sealed secret cannot be put
// into another row. The text form names the master key by a fingerprint, so that a wrong key is told from damage:
//
//     $sealed$1$<fingerprint>$<base64url of nonce, ciphertext and tag>
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace usher {

class MasterKey {
public:
    /// The content of a key file: 32 bytes, or the same in hexadecimal or base64 (either alphabet, with or without
    /// padding) with white space around it. Nothing when it is anything else.
    static std::optional<MasterKey> parse(std::string_view content);

    MasterKey(const MasterKey &) = default;
    MasterKey &operator=(const MasterKey &) = default;
    ~MasterKey();

    /// 16 hexadecimal digits that tell keys apart and say nothing about them.
    std::string fingerprint() const;

    /// The secret must not itself look like a sealed one (22023).
    std::string seal(std::string_view secret, std::string_view context) const;

    /// Nothing when the text was sealed under another key, for another context, or was changed.
    std::optional<std::string> open(std::string_view sealed, std::string_view context) const;

private:
    explicit MasterKey(std::string_view bytes);
    std::array<std::uint8_t, 32> bytes_;
};

bool is_sealed(std::string_view stored) noexcept;
/// Of the key that the text was sealed under; empty when it is not sealed.
std::string_view sealed_under(std::string_view stored) noexcept;

} // namespace usher
