#include "usher/identity/seal.hpp"

#include <cstring>
#include <memory>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/hmac.hpp"
#include "common/random.hpp"
#include "common/text.hpp"

namespace usher {

namespace {

constexpr std::string_view prefix = "$sealed$1$";
constexpr std::size_t key_bytes = 32, nonce_bytes = 12, tag_bytes = 16, fingerprint_digits = 16;

struct FreeContext {
    void operator()(EVP_CIPHER_CTX *context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

int length_of(std::string_view text) { return static_cast<int>(text.size()); }

[[noreturn]] void fail() {
    ERR_clear_error();
    throw Error("XX000", "could not seal a secret");
}

/// Base64 in either alphabet, padded or not.
std::optional<std::string> decode_base64(std::string_view text) {
    if (text.ends_with('=')) text.remove_suffix(1); // 32 bytes have one character of padding
    std::string url(text);
    for (char &c : url) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return base64url_decode(url);
}

} // namespace

MasterKey::MasterKey(std::string_view bytes) { std::memcpy(bytes_.data(), bytes.data(), bytes_.size()); }

MasterKey::~MasterKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

std::optional<MasterKey> MasterKey::parse(std::string_view content) {
    if (content.size() == key_bytes) return MasterKey(content);
    const std::string_view text = trim(content);
    std::optional<std::string> bytes = text.size() == 2 * key_bytes ? hex_decode(text) : decode_base64(text);
    if (!bytes || bytes->size() != key_bytes) return std::nullopt;
    MasterKey key(*bytes);
    wipe(*bytes);
    return key;
}

std::string MasterKey::fingerprint() const {
    const std::string_view key(reinterpret_cast<const char *>(bytes_.data()), bytes_.size());
    return hex_encode(hmac_sha256(key, "usher master key")).substr(0, fingerprint_digits);
}

std::string MasterKey::seal(std::string_view secret, std::string_view context) const {
    if (is_sealed(secret)) throw Error("22023", "secret is sealed already");
    std::string out = random_bytes(nonce_bytes);
    out.resize(nonce_bytes + secret.size() + tag_bytes);
    const CipherContext cipher(EVP_CIPHER_CTX_new());
    unsigned char *const text = bytes_of(out) + nonce_bytes;
    int size = 0;
    if (!cipher || EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_.data(), bytes_of(out)) != 1 ||
        EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes_of(context), length_of(context)) != 1 ||
        EVP_EncryptUpdate(cipher.get(), text, &size, bytes_of(secret), length_of(secret)) != 1 ||
        EVP_EncryptFinal_ex(cipher.get(), text + size, &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes, text + secret.size()) != 1)
        fail();
    return std::string(prefix) + fingerprint() + '$' + base64url_encode(out);
}

std::optional<std::string> MasterKey::open(std::string_view sealed, std::string_view context) const {
    if (sealed_under(sealed) != fingerprint()) return std::nullopt;
    auto bytes = base64url_decode(sealed.substr(prefix.size() + fingerprint_digits + 1));
    if (!bytes || bytes->size() < nonce_bytes + tag_bytes) return std::nullopt;
    const std::string_view text = std::string_view(*bytes).substr(nonce_bytes, bytes->size() - nonce_bytes - tag_bytes);
    std::string secret(text.size(), '\0');
    const CipherContext cipher(EVP_CIPHER_CTX_new());
    int size = 0;
    if (!cipher || EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_.data(), bytes_of(*bytes)) != 1 ||
        EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes_of(context), length_of(context)) != 1 ||
        EVP_DecryptUpdate(cipher.get(), bytes_of(secret), &size, bytes_of(text), length_of(text)) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes,
                            bytes_of(*bytes) + nonce_bytes + text.size()) != 1)
        fail();
    if (EVP_DecryptFinal_ex(cipher.get(), bytes_of(secret) + size, &size) != 1) {
        ERR_clear_error();
        wipe(secret); // not authentic: nobody may see it
        return std::nullopt;
    }
    return secret;
}

bool is_sealed(std::string_view stored) noexcept { return stored.starts_with("$sealed$"); }

std::string_view sealed_under(std::string_view stored) noexcept {
    if (!stored.starts_with(prefix) || stored.size() <= prefix.size() + fingerprint_digits ||
        stored[prefix.size() + fingerprint_digits] != '$')
        return {};
    return stored.substr(prefix.size(), fingerprint_digits);
}

} // namespace usher
