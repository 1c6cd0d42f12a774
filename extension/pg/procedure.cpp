#include "pg/procedure.hpp"

namespace usher::pg {

namespace {
constinit std::uint64_t generation = 1;

void on_change(Datum, int, uint32) noexcept { ++generation; }
} // namespace

std::uint64_t procedures_generation() {
    static constinit bool registered = false;
    if (!registered) {
        call([] {
            CacheRegisterSyscacheCallback(PROCOID, on_change, 0);
            CacheRegisterSyscacheCallback(NAMESPACEOID, on_change, 0);
            CacheRegisterSyscacheCallback(TYPEOID, on_change, 0);
        });
        registered = true;
    }
    return generation;
}

} // namespace usher::pg
