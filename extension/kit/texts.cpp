#include "kit/texts.hpp"
#include "common/error.hpp"
#include "kit/server.hpp"

namespace usher::kit {

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        pg::call([&] { return pg_mbstrlen_with_len(text.data(), static_cast<int>(text.size())); }));
}

void require_idempotency_key(std::string_view key) {
    if (!key.empty() && characters(key) <= 255) return;
    throw Error(errc::invalid_argument, "idempotency_key must have 1 to 255 characters",
                R"({"argument":"idempotency_key"})");
}

} // namespace usher::kit
