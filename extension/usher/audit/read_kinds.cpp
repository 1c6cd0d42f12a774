#include "usher/audit/read_kinds.hpp"
#include "common/text.hpp"
#include <algorithm>
#include <array>

namespace usher::audit {

namespace {
template <std::size_t size>
bool is_word(std::string_view text, const std::array<std::string_view, size> &words) noexcept {
    return std::find(words.begin(), words.end(), text) != words.end();
}
bool is_off(std::string_view setting) noexcept {
    return is_word(setting, std::array<std::string_view, 5>{"off", "false", "no", "0", ""});
}
bool is_on(std::string_view setting) noexcept {
    return is_word(setting, std::array<std::string_view, 5>{"on", "true", "yes", "1", "all"});
}

/// Whether `test` holds for one of the kinds.
template <class Test> bool any_kind(std::string_view setting, Test test) noexcept {
    for (;;) {
        const auto comma = setting.find(',');
        if (test(trim(setting.substr(0, comma)))) return true;
        if (comma == std::string_view::npos) return false;
        setting.remove_prefix(comma + 1);
    }
}
} // namespace

bool are_read_kinds(std::string_view setting) noexcept {
    setting = trim(setting);
    if (is_off(setting) || is_on(setting)) return true;
    // a word for all or none among kinds is a mistake
    return !any_kind(setting, [](std::string_view kind) {
        return kind.empty() || kind.find_first_of(white_space) != std::string_view::npos || is_off(kind) || is_on(kind);
    });
}

bool names_read_kind(std::string_view setting, std::string_view kind) noexcept {
    setting = trim(setting);
    if (is_off(setting)) return false;
    return is_on(setting) || any_kind(setting, [kind](std::string_view each) { return each == kind; });
}

} // namespace usher::audit
