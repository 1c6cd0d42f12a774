#include "mail_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    usher::fuzz::mail_target({reinterpret_cast<const char *>(data), size});
    return 0;
}
