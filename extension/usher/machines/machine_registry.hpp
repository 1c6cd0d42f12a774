// The machines of this database, kept parsed in each backend.
#pragma once
#include "usher/machines/machine.hpp"
#include <memory>
#include <string_view>

namespace usher::machines {

/// The machine in force under that name; nullptr when there is none. Whoever holds the pointer may go on using it while
/// a newer version takes its place.
std::shared_ptr<const machine::Machine> find_machine(std::string_view name);
/// As find_machine(), but throws US005 when there is none.
std::shared_ptr<const machine::Machine> require_machine(std::string_view name);

} // namespace usher::machines
