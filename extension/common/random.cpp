#include "common/random.hpp"

#include <climits>

#include <openssl/rand.h>

#include "common/encoding.hpp"
#include "common/error.hpp"

namespace usher {

void fill_random(void *out, std::size_t size) {
    auto *at = static_cast<unsigned char *>(out);
    while (size > 0) {
        const int part = size > INT_MAX ? INT_MAX : static_cast<int>(size);
        if (RAND_bytes(at, part) != 1) throw Error("XX000", "could not generate random bytes");
        at += part;
        size -= static_cast<std::size_t>(part);
    }
}

std::string random_bytes(std::size_t size) {
    std::string bytes(size, '\0');
    fill_random(bytes.data(), size);
    return bytes;
}

std::string random_token() { return base64url_encode(random_bytes(32)); }

std::uint32_t random_below(std::uint32_t bound) {
    if (bound == 0) throw Error("XX000", "random number below zero requested");
    // Values from the incomplete last interval would make small results likelier: draw again.
    const std::uint32_t limit = UINT32_MAX - UINT32_MAX % bound;
    std::uint32_t value;
    do fill_random(&value, sizeof value);
    while (value >= limit);
    return value % bound;
}

std::string random_digits(int count) {
    std::string digits;
    for (int i = 0; i < count; ++i) digits += static_cast<char>('0' + random_below(10));
    return digits;
}

} // namespace usher
