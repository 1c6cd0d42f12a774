// usher.audit_reads: which reads are logged though nothing that was read is sensitive.
#pragma once
#include <string_view>

namespace usher::audit {

/// "off" and "on" as PostgreSQL writes them, or kinds separated by commas: "user, customer, booking".
bool are_read_kinds(std::string_view setting) noexcept;

/// Whether a setting that are_read_kinds() names this kind.
bool names_read_kind(std::string_view setting, std::string_view kind) noexcept;

} // namespace usher::audit
