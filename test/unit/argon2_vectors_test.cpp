// RFC 9106 section 5: the vectors use a secret and associated data, which hash strings cannot carry. So they are put to
// the library that usher/identity/password_hash.cpp calls; what the hash strings can say is tested in
// password_test.cpp.
#include "common/encoding.hpp"
#include <argon2.h>
#include <gtest/gtest.h>

namespace {

std::string rfc9106(argon2_type type) {
    std::string password(32, '\x01'), salt(16, '\x02'), secret(8, '\x03'), data(12, '\x04'), tag(32, '\0');
    const auto bytes = [](std::string &text) { return reinterpret_cast<std::uint8_t *>(text.data()); };
    const auto size = [](const std::string &text) { return static_cast<std::uint32_t>(text.size()); };
    argon2_context context{};
    context.out = bytes(tag);
    context.outlen = size(tag);
    context.pwd = bytes(password);
    context.pwdlen = size(password);
    context.salt = bytes(salt);
    context.saltlen = size(salt);
    context.secret = bytes(secret);
    context.secretlen = size(secret);
    context.ad = bytes(data);
    context.adlen = size(data);
    context.t_cost = 3;
    context.m_cost = 32;
    context.lanes = context.threads = 4;
    context.version = ARGON2_VERSION_13;
    EXPECT_EQ(argon2_ctx(&context, type), ARGON2_OK);
    return usher::hex_encode(tag);
}

TEST(Argon2Vectors, Rfc9106) {
    EXPECT_EQ(rfc9106(Argon2_d), "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb");
    EXPECT_EQ(rfc9106(Argon2_i), "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8");
    EXPECT_EQ(rfc9106(Argon2_id), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

} // namespace
