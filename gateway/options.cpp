#include "options.hpp"

namespace usher::gateway {

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> items;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const std::string_view item = trim(text.substr(0, comma), header_space);
        if (!item.empty()) items.emplace_back(item);
        text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    }
    return items;
}

void check_choice(const char *name, const std::string &value, const std::vector<std::string> &choices) {
    std::string all;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (value == choices[i]) return;
        all += (i == 0 ? "" : i + 1 < choices.size() ? ", " : " or ") + choices[i];
    }
    throw ConfigError(std::string(name) + " must be " + all);
}

} // namespace usher::gateway
