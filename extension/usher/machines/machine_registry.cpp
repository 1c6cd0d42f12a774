#include "usher/machines/machine_registry.hpp"
#include "common/json.hpp"
#include "pg/cache.hpp"
#include "pg/spi.hpp"
#include <map>

namespace usher::machines {

namespace {
struct Registry {
    std::uint64_t loaded_at = 0;
    std::map<std::string, std::shared_ptr<const machine::Machine>, std::less<>> machines; // nullptr: there is none
};

Registry &registry() { // never destroyed: a terminated backend runs no destructors of statics safely
    static Registry *const made = new Registry;
    return *made;
}

constinit pg::Invalidation changes{"machine_inval"};

std::shared_ptr<const machine::Machine> load(std::string_view name) {
    static constinit pg::Statement find{R"(
        SELECT definition::pg_catalog.text
        FROM usher.machines
        WHERE name OPERATOR(pg_catalog.=) $1 AND is_active ORDER BY version DESC LIMIT 1)",
                                        pg::Access::latest};
    const pg::AsOwner owner;
    const pg::Rows rows = find.run({pg::text(name)});
    if (rows.empty()) return nullptr;
    return std::make_shared<const machine::Machine>(machine::Machine::parse(rows.front().text(0)));
}
} // namespace

std::shared_ptr<const machine::Machine> find_machine(std::string_view name) {
    Registry &kept = registry();
    const std::uint64_t now = changes.generation();
    if (kept.loaded_at != now) {
        kept.machines.clear();
        kept.loaded_at = now;
    }
    if (const auto found = kept.machines.find(name); found != kept.machines.end()) return found->second;
    std::shared_ptr<const machine::Machine> loaded = load(name);
    // Loading may have taken in a newer change: then what was read belongs to no generation, and is not kept.
    if (pg::Invalidation::may_keep() && changes.generation() == now) kept.machines.emplace(name, loaded);
    return loaded;
}

std::shared_ptr<const machine::Machine> require_machine(std::string_view name) {
    std::shared_ptr<const machine::Machine> found = find_machine(name);
    if (found == nullptr)
        throw Error(errc::unknown_reference, "machine " + json::quote(name) + " does not exist",
                    R"({"machine":)" + json::quote(name) + "}", "Define it with usher.define_machine().");
    return found;
}

} // namespace usher::machines
