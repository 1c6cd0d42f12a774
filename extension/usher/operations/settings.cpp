#include "usher/operations/settings.hpp"
#include "usher/audit/read_kinds.hpp"

namespace usher::guc {

#define INT(variable, name, initial, ...) int variable = initial;
#define BOOL(variable, name, initial, ...) bool variable = initial;
#define STRING(variable, ...) char *variable = nullptr;
#define ENUM(variable, name, initial, type, ...) int variable##_value = static_cast<int>(type::initial);
USHER_INT_SETTINGS(INT)
USHER_BOOL_SETTINGS(BOOL)
USHER_STRING_SETTINGS(STRING)
USHER_ENUM_SETTINGS(ENUM)
#undef INT
#undef BOOL
#undef STRING
#undef ENUM

namespace {
template <class E> constexpr int value(E e) { return static_cast<int>(e); }

constexpr config_enum_entry PasswordAlgorithm_options[] = {{"argon2id", value(PasswordAlgorithm::argon2id), false},
                                                           {"bcrypt", value(PasswordAlgorithm::bcrypt), false},
                                                           {nullptr, 0, false}};
constexpr config_enum_entry RefreshReuse_options[] = {{"strict", value(RefreshReuse::strict), false},
                                                      {"grace", value(RefreshReuse::grace), false},
                                                      {"lenient", value(RefreshReuse::lenient), false},
                                                      {nullptr, 0, false}};
constexpr config_enum_entry CutOffApiKeys_options[] = {{"never", value(CutOffApiKeys::never), false},
                                                       {"recovery", value(CutOffApiKeys::recovery), false},
                                                       {"always", value(CutOffApiKeys::always), false},
                                                       {nullptr, 0, false}};
constexpr config_enum_entry CookieSameSite_options[] = {
    {"lax", value(CookieSameSite::lax), false}, {"strict", value(CookieSameSite::strict), false}, {nullptr, 0, false}};

bool check_read_kinds(char **value, void **, GucSource) {
    if (*value == nullptr || audit::are_read_kinds(*value)) return true;
    GUC_check_errdetail("It must be off, on, or kinds of what is read, separated by commas.");
    return false;
}

constexpr GucStringCheckHook check_of(std::string_view name) {
    return name == "audit_reads" ? check_read_kinds : nullptr;
}
} // namespace

void define_settings() {
    // Settings of the postmaster can only be defined while it starts. Loaded later, the library merely shows them.
    const auto at_start = [](GucContext context) {
        return context == PGC_POSTMASTER && !process_shared_preload_libraries_in_progress ? PGC_SIGHUP : context;
    };
#define INT(variable, name, initial, least, most, unit, description)                                                   \
    DefineCustomIntVariable("usher." name, description, nullptr, &(variable), initial, least, most, PGC_SUSET, unit,   \
                            nullptr, nullptr, nullptr);
#define BOOL(variable, name, initial, description)                                                                     \
    DefineCustomBoolVariable("usher." name, description, nullptr, &(variable), initial, PGC_SUSET, 0, nullptr,         \
                             nullptr, nullptr);
#define STRING(variable, name, initial, context, description)                                                          \
    DefineCustomStringVariable("usher." name, description, nullptr, &(variable), initial, at_start(context), 0,        \
                               check_of(name), nullptr, nullptr);
#define ENUM(variable, name, initial, type, description)                                                               \
    DefineCustomEnumVariable("usher." name, description, nullptr, &variable##_value, value(type::initial),             \
                             type##_options, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    USHER_INT_SETTINGS(INT)
    USHER_BOOL_SETTINGS(BOOL)
    USHER_STRING_SETTINGS(STRING)
    USHER_ENUM_SETTINGS(ENUM)
#undef INT
#undef BOOL
#undef STRING
#undef ENUM
    MarkGUCPrefixReserved("usher");
}

} // namespace usher::guc
