#include "pg/procedure.hpp"

namespace usher::pg {

namespace {
constinit std::uint64_t procedures = 1, row_types = 1;

void on_procedure_change(Datum, SystemCache, uint32) noexcept { ++procedures; }
void on_row_type_change(Datum, SystemCache, uint32) noexcept { ++row_types; }

void watch() {
    static constinit bool registered = false;
    if (registered) return;
    call([] {
        for (const SystemCache cache : {PROCOID, NAMESPACEOID, TYPEOID})
            CacheRegisterSyscacheCallback(cache, on_procedure_change, 0);
        for (const SystemCache cache : {ATTNUM, ENUMOID}) CacheRegisterSyscacheCallback(cache, on_row_type_change, 0);
    });
    registered = true;
}
} // namespace

std::uint64_t procedures_generation() {
    watch();
    return procedures;
}

std::uint64_t row_types_generation() {
    watch();
    return row_types;
}

} // namespace usher::pg
