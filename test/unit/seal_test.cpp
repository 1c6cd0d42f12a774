// Secrets sealed under a master key, and the content of its file.
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "usher/identity/seal.hpp"
#include <gtest/gtest.h>

namespace {

using namespace usher;

const std::string raw(32, '\x07'), other_raw(32, '\x08');

TEST(MasterKeys, AreReadInEveryForm) {
    const std::string fingerprint = MasterKey::parse(raw)->fingerprint();
    EXPECT_EQ(fingerprint.size(), 16U);
    for (const std::string &text :
         {hex_encode(raw), base64_encode(raw), base64_encode(raw, Padding::none), base64url_encode(raw),
          base64url_encode(raw) + "=", hex_encode(raw) + "\n", " \t" + base64_encode(raw) + "\r\n"}) {
        const auto key = MasterKey::parse(text);
        ASSERT_TRUE(key) << text;
        EXPECT_EQ(key->fingerprint(), fingerprint) << text;
    }
    // every byte that means something in one of the alphabets
    std::string bytes;
    for (int i = 0; i < 32; ++i) bytes += static_cast<char>(0xe0 + i);
    EXPECT_EQ(MasterKey::parse(base64_encode(bytes))->fingerprint(), MasterKey::parse(bytes)->fingerprint());
    EXPECT_EQ(MasterKey::parse(base64url_encode(bytes))->fingerprint(), MasterKey::parse(bytes)->fingerprint());
    // exactly 32 bytes are the key itself, whatever they look like
    EXPECT_NE(MasterKey::parse(std::string(32, 'a'))->fingerprint(),
              MasterKey::parse(std::string(32, ' '))->fingerprint());
}

TEST(MasterKeys, AreRefusedWhenTheyAreNotOf256Bits) {
    for (const std::string &bad : {std::string(), std::string(" \n"), raw + "\n", raw.substr(1), std::string(64, 'g'),
                                   hex_encode(raw).substr(2), hex_encode(raw) + "00", base64_encode(raw) + "=",
                                   base64_encode(raw.substr(1)), base64_encode(raw + raw), std::string(4096, 'a')})
        EXPECT_FALSE(MasterKey::parse(bad)) << bad;
}

TEST(SealedSecrets, Open) {
    const MasterKey key = *MasterKey::parse(raw);
    for (const std::string &secret :
         {std::string(), std::string("s"), std::string(5000, 'x'), std::string("\0\xff", 2)}) {
        const std::string sealed = key.seal(secret, "signing_key:a");
        EXPECT_TRUE(is_sealed(sealed));
        EXPECT_EQ(sealed_under(sealed), key.fingerprint());
        EXPECT_EQ(key.open(sealed, "signing_key:a"), secret);
        EXPECT_NE(key.seal(secret, "signing_key:a"), sealed) << "the nonce must differ each time";
    }
}

TEST(SealedSecrets, DoNotOpenElsewhere) {
    const MasterKey key = *MasterKey::parse(raw), other = *MasterKey::parse(other_raw);
    const std::string sealed = key.seal("secret", "signing_key:a");
    EXPECT_EQ(sealed.find("secret"), std::string::npos);
    EXPECT_FALSE(key.open(sealed, "signing_key:b"));
    EXPECT_FALSE(key.open(sealed, ""));
    EXPECT_FALSE(other.open(sealed, "signing_key:a"));
    // nor under another key that was made to look like the right one
    std::string renamed = sealed;
    renamed.replace(renamed.find(key.fingerprint()), 16, other.fingerprint());
    EXPECT_FALSE(other.open(renamed, "signing_key:a"));
}

TEST(SealedSecrets, NoticeEveryChange) {
    const MasterKey key = *MasterKey::parse(raw);
    const std::string sealed = key.seal("secret", "context");
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string changed = sealed;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(key.open(changed, "context")) << i;
        EXPECT_FALSE(key.open(sealed.substr(0, i), "context")) << i;
    }
    EXPECT_FALSE(key.open(sealed + "A", "context"));
}

TEST(SealedSecrets, AreToldFromOthers) {
    for (const char *plain : {"", "-----BEGIN PRIVATE KEY-----", "AAAA", "$argon2id$v=19$", "sealed$1$"})
        EXPECT_FALSE(is_sealed(plain)) << plain;
    EXPECT_EQ(sealed_under("$sealed$1$"), "");
    EXPECT_EQ(sealed_under("$sealed$2$0123456789abcdef$AAAA"), "");
    EXPECT_EQ(sealed_under("$sealed$1$0123456789abcdef"), "");
    EXPECT_EQ(sealed_under("$sealed$1$0123456789abcdef$"), "0123456789abcdef");
    const MasterKey key = *MasterKey::parse(raw);
    EXPECT_THROW(key.seal(key.seal("secret", ""), ""), Error);
}

} // namespace
