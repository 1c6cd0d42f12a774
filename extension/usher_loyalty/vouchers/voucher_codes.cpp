#include "usher_loyalty/vouchers/voucher_codes.hpp"
#include "common/base32.hpp"
#include "common/digest.hpp"
#include "common/random.hpp"

namespace usher::loyalty {

std::string new_code() {
    std::string code = base32_encode(random_bytes(10));
    for (const std::size_t at : {12, 8, 4}) code.insert(at, 1, '-');
    return code;
}

std::string code_hash(std::string_view code) {
    std::string counted;
    for (const char each : code) {
        if (each >= 'a' && each <= 'z')
            counted += static_cast<char>(each - 'a' + 'A');
        else if ((each >= 'A' && each <= 'Z') || (each >= '0' && each <= '9'))
            counted += each;
    }
    return counted.empty() ? std::string() : sha256_bytes(counted);
}

} // namespace usher::loyalty
