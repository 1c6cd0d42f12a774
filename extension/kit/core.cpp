#include "kit/core.hpp"
#include "kit/server.hpp"
#include <string>

namespace usher::kit {

const Core &core() {
    static constinit const Core *known = nullptr;
    if (known != nullptr) return *known;
    using Find = const Core *();
    const auto *const found = pg::call([] {
        return reinterpret_cast<Find *>(load_external_function("$libdir/usher", "usher_core", true, nullptr))();
    });
    if (found->version < core_version)
        throw Error(errc::not_configured, "this extension needs a newer version of usher: functions of version " +
                                              std::to_string(core_version) + ", not " + std::to_string(found->version));
    return *(known = found);
}

} // namespace usher::kit
