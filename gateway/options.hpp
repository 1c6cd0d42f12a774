// The options of a program of ours: one table of members of its Config gives flags, environment variables, keys of a
// file, and --help. Shared by the gateway and the courier.
#pragma once
#include "config.hpp"
#include "database_url.hpp"
#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <variant>

namespace usher::gateway {

template <class C> struct Option {
    using Member = std::variant<int C::*, bool C::*, std::string C::*, std::vector<std::string> C::*>;
    const char *name; // as a key of the file; --with-dashes as a flag, USHER_GATEWAY_UPPER_CASE in the environment
    Member member;
    const char *help;
    int least = 0;
    int most = 0;
};

/// A program: its name, what its variables begin with, what it says of itself, and its options.
template <class C> struct Program {
    const char *name;
    const char *prefix;
    const char *purpose;
    const char *example; // how an option is set in the environment
    const std::vector<Option<C>> &options;
    void (*check)(C &, Mistakes &); // what can only be judged when all options are known
};

std::vector<std::string> split_list(std::string_view text);
void check_choice(const char *name, const std::string &value, const std::vector<std::string> &choices);

template <class C> std::string flag_of(const Option<C> &option) {
    std::string flag = "--" + std::string(option.name);
    for (char &c : flag)
        if (c == '_') c = '-';
    return flag;
}

template <class C> std::string environment_name_of(const Program<C> &program, const Option<C> &option) {
    std::string name = program.prefix + std::string(option.name);
    for (char &c : name)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return name;
}

// where: what to name in a message, for example --port or "port" in gateway.json
template <class C>
void set_option(C &config, const Option<C> &option, const std::string &where, const std::string &text) {
    if (const auto *number = std::get_if<int C::*>(&option.member)) {
        int value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() || value < option.least || value > option.most)
            throw ConfigError(where + " must be a number from " + std::to_string(option.least) + " to " +
                              std::to_string(option.most));
        config.*(*number) = value;
    } else if (const auto *boolean = std::get_if<bool C::*>(&option.member)) {
        if (text != "true" && text != "false") throw ConfigError(where + " must be true or false");
        config.*(*boolean) = text == "true";
    } else if (const auto *string = std::get_if<std::string C::*>(&option.member)) {
        config.*(*string) = text;
    } else {
        config.*std::get<std::vector<std::string> C::*>(option.member) = split_list(text);
    }
}

template <class C>
void set_from_file(const Program<C> &program, C &config, const std::string &key, const nlohmann::json &value,
                   const std::string &path) {
    const Option<C> *found = nullptr;
    for (const Option<C> &option : program.options)
        if (key == option.name) found = &option;
    const std::string where = "\"" + key + "\" in " + path;
    if (found == nullptr) throw ConfigError("unknown option " + where);
    const bool is_list = std::holds_alternative<std::vector<std::string> C::*>(found->member);
    if (value.is_string()) {
        set_option(config, *found, where, value.get<std::string>());
    } else if (is_list && value.is_array()) {
        auto &list = config.*std::get<std::vector<std::string> C::*>(found->member);
        list.clear();
        for (const auto &item : value) {
            if (!item.is_string()) throw ConfigError(where + " must be an array of strings");
            list.push_back(item.get<std::string>());
        }
    } else if (value.is_number_integer() || value.is_boolean()) {
        set_option(config, *found, where, value.dump());
    } else {
        throw ConfigError(where + " has a value of the wrong type");
    }
}

template <class C> void read_file(const Program<C> &program, C &config, const std::string &path, Mistakes &mistakes) {
    std::ifstream file(path);
    if (!file) throw ConfigError("could not open configuration file " + path);
    nlohmann::json document;
    try {
        document = nlohmann::json::parse(file);
    } catch (const nlohmann::json::exception &error) {
        throw ConfigError("configuration file " + path + " is not valid JSON: " + error.what());
    }
    if (!document.is_object()) throw ConfigError("configuration file " + path + " must hold one JSON object");
    for (const auto &[key, value] : document.items())
        mistakes.attempt([&, &name = key, &given = value] { set_from_file(program, config, name, given, path); });
}

// A flag and its value, which may be the next argument.
template <class C>
void read_flag(const Program<C> &program, int argc, const char *const *argv, int &i,
               std::map<std::string, std::string> &flags, std::string &file) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    const std::string flag = argument.substr(0, equals);
    const Option<C> *found = nullptr;
    for (const Option<C> &option : program.options)
        if (flag == flag_of(option)) found = &option;
    if (found == nullptr && flag != "--config") throw ConfigError("unknown option " + flag + " (see --help)");
    const bool is_boolean = found != nullptr && std::holds_alternative<bool C::*>(found->member);
    std::string value = "true";
    if (equals != std::string::npos)
        value = argument.substr(equals + 1);
    else if (!is_boolean && i + 1 < argc && std::string_view(argv[i + 1]).substr(0, 2) != "--")
        value = argv[++i];
    else if (!is_boolean)
        throw ConfigError("option " + flag + " needs a value");
    if (found == nullptr)
        file = value;
    else
        flags[flag] = value;
}

/// Defaults, then the file (--config or PREFIX_CONFIG), then the environment, then flags.
template <class C>
BasicInvocation<C> read_options(const Program<C> &program, int argc, const char *const *argv,
                                const char *const *environment) {
    using Action = typename BasicInvocation<C>::Action;
    BasicInvocation<C> invocation;
    std::map<std::string, std::string> flags; // flag -> value, applied last
    std::string file;
    std::map<std::string, std::string> variables;
    std::string database_url; // what other programs call it: taken where no database is given
    for (; environment != nullptr && *environment != nullptr; ++environment) {
        const std::string entry = *environment;
        const std::size_t equals = entry.find('=');
        if (entry.starts_with(program.prefix) && equals != std::string::npos)
            variables[entry.substr(0, equals)] = entry.substr(equals + 1);
        else if (entry.starts_with("DATABASE_URL="))
            database_url = entry.substr(equals + 1);
    }
    if (const auto found = variables.find(program.prefix + std::string("CONFIG")); found != variables.end()) {
        file = found->second;
        variables.erase(found);
    }
    Mistakes &mistakes = invocation.mistakes;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--help")
            invocation.action = Action::help;
        else if (argument == "--version")
            invocation.action = Action::version;
        else if (argument == "--check-config")
            invocation.action = Action::check;
        else
            mistakes.attempt([&] { read_flag(program, argc, argv, i, flags, file); });
    }
    C &config = invocation.config;
    if (!file.empty()) mistakes.attempt([&] { read_file(program, config, file, mistakes); });
    for (const Option<C> &option : program.options) {
        if (const auto found = variables.find(environment_name_of(program, option)); found != variables.end()) {
            mistakes.attempt([&] { set_option(config, option, found->first, found->second); });
            variables.erase(found);
        }
        if (const auto found = flags.find(flag_of(option)); found != flags.end())
            mistakes.attempt([&] { set_option(config, option, found->first, found->second); });
    }
    for (const auto &[name, value] : variables) mistakes.add("unknown option " + name + " in the environment");
    if (config.database.empty() && !database_url.empty())
        mistakes.attempt([&] { config.database = connection_string("DATABASE_URL", database_url); });
    program.check(config, mistakes);
    return invocation;
}

template <class C> std::string describe_options(const Program<C> &program) {
    const C defaults;
    std::ostringstream out;
    out << program.name << ' ' << program.purpose << "\n\nUsage: " << program.name
        << " [--config FILE] [OPTION=VALUE ...]\n\n"
           "  --config FILE    JSON object with the options below as keys (underscores for dashes)\n"
           "  --check-config   say everything that is wrong with the configuration, and stop\n"
           "  --version        print the version, and stop\n"
           "  --help           print this text, and stop\n\n"
           "Each option can also be set in the environment: "
        << program.example
        << ". Flags win over the\n"
           "environment, which wins over the file. A password belongs into PGPASSFILE, not into a flag.\n\n";
    for (const Option<C> &option : program.options) {
        std::string value;
        if (const auto *number = std::get_if<int C::*>(&option.member))
            value = std::to_string(defaults.*(*number));
        else if (const auto *boolean = std::get_if<bool C::*>(&option.member))
            value = defaults.*(*boolean) ? "true" : "false";
        else if (const auto *string = std::get_if<std::string C::*>(&option.member))
            value = defaults.*(*string);
        out << "  " << flag_of(option) << (value.empty() ? "" : "=" + value) << "\n        " << option.help << "\n";
    }
    return out.str();
}

} // namespace usher::gateway
