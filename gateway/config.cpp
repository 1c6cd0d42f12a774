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

namespace {

using Member = std::variant<int Config::*, bool Config::*, std::string Config::*, std::vector<std::string> Config::*>;

struct Option {
    const char *name; // as a key of the file; --with-dashes as a flag, USHER_GATEWAY_UPPER_CASE in the environment
    Member member;
    const char *help;
    int least = 0;
    int most = 0;
};

constexpr int day_ms = 24 * 60 * 60 * 1000;

const std::vector<Option> &options() {
    static const std::vector<Option> table = {
        {"listen", &Config::listen, "address to listen on"},
        {"port", &Config::port, "port; 0: any free one", 0, 65535},
        {"admin_listen", &Config::admin_listen, "address of the admin listener (livez, readyz, metrics)"},
        {"admin_port", &Config::admin_port, "port of the admin listener; 0: any free one", 0, 65535},
        {"port_search", &Config::port_search, "how many further ports to try when one is taken", 0, 1000},
        {"ready_file", &Config::ready_file, "written with both addresses once both listeners accept connections"},
        {"pages", &Config::pages,
         "folder of the pages / and /docs; empty: pages beside the program, or those installed with it; none: no "
         "pages"},
        {"tls_certificate", &Config::tls_certificate,
         "PEM file of the certificate and its chain: speaks TLS, and only TLS"},
        {"tls_key", &Config::tls_key, "PEM file of its private key; SIGHUP reads both again"},
        {"tls_min_version", &Config::tls_min_version, "1.2 or 1.3"},
        {"database", &Config::database,
         "libpq connection string or URL; empty: DATABASE_URL, else PGHOST and the like"},
        {"standby_database", &Config::standby_database,
         "libpq connection string of standbys, for routes marked read-only; empty: none"},
        {"standby_pool_size", &Config::standby_pool_size, "connections to the standbys", 1, 1000},
        {"pool_size", &Config::pool_size, "connections to the database", 1, 1000},
        {"pool_overflow", &Config::pool_overflow, "more of them while all are busy; they are closed afterwards", 0,
         1000},
        {"costly_connections", &Config::costly_connections,
         "how many of them costly routes (logins) may have at a time; 0: an eighth, at least one", 0, 1000},
        {"pool_wait_ms", &Config::pool_wait_ms, "longest wait for a connection, then 503", 1, day_ms},
        {"statement_timeout_ms", &Config::statement_timeout_ms, "longest run of a request's statement, then 504", 1,
         day_ms},
        {"connect_timeout_s", &Config::connect_timeout_s, "longest attempt to connect to one database host", 2, 600},
        {"connection_max_age_s", &Config::connection_max_age_s,
         "an older connection to the database is replaced before its next use; 0: never", 0, 7 * 24 * 60 * 60},
        {"database_metrics_s", &Config::database_metrics_s,
         "/metrics has those of usher.metrics() too, at most this old; 0: without them", 0, 86400},
        {"pooler", &Config::pooler, "a transaction pooler stands before the database: unnamed statements only"},
        {"cancel_on_hangup", &Config::cancel_on_hangup, "cancel the statement when the client hangs up"},
        {"max_connections", &Config::max_connections, "client connections at a time", 1, 100000},
        {"max_requests_per_connection", &Config::max_requests_per_connection, "then the connection is closed", 1,
         1000000000},
        {"max_head_bytes", &Config::max_head_bytes, "request line and header fields together", 256, 1 << 20},
        {"max_target_bytes", &Config::max_target_bytes, "request target (path and query)", 16, 1 << 20},
        {"max_headers", &Config::max_headers, "header fields of a request", 1, 1000},
        {"max_body_bytes", &Config::max_body_bytes, "request body", 0, 1 << 30},
        {"max_json_depth", &Config::max_json_depth, "nesting of a JSON body", 1, 1000},
        {"head_timeout_ms", &Config::head_timeout_ms, "from a request's first byte to the end of its head", 1, day_ms},
        {"body_timeout_ms", &Config::body_timeout_ms, "for a request's whole body", 1, day_ms},
        {"write_timeout_ms", &Config::write_timeout_ms, "for writing an answer", 1, day_ms},
        {"idle_timeout_ms", &Config::idle_timeout_ms, "between two requests of a connection", 1, day_ms},
        {"drain_timeout_ms", &Config::drain_timeout_ms, "for requests in flight after SIGTERM", 1, day_ms},
        {"drain_delay_ms", &Config::drain_delay_ms,
         "after SIGTERM, still answer everything for this long, so that a load balancer notices readyz", 0, day_ms},
        {"trusted_proxies", &Config::trusted_proxies, "comma-separated addresses or networks whose word counts"},
        {"forwarded_header", &Config::forwarded_header, "x-forwarded-for or forwarded: what those proxies send"},
        {"cors_origins", &Config::cors_origins, "comma-separated origins that browsers may call from"},
        {"cors_credentials", &Config::cors_credentials, "let those origins send cookies"},
        {"cors_max_age_s", &Config::cors_max_age_s, "how long a browser may keep a preflight answer", 0, 86400},
        {"hsts_max_age_s", &Config::hsts_max_age_s, "Strict-Transport-Security, when a proxy gives TLS; 0: none", 0,
         2000000000},
        {"server_timing", &Config::server_timing,
         "Server-Timing: never; request: for requests with the header Usher-Timing; always"},
        {"log_requests", &Config::log_requests, "one log line per request"},
    };
    return table;
}

std::string flag_of(const Option &option) {
    std::string flag = "--" + std::string(option.name);
    for (char &c : flag)
        if (c == '_') c = '-';
    return flag;
}

std::string environment_name_of(const Option &option) {
    std::string name = "USHER_GATEWAY_" + std::string(option.name);
    for (char &c : name)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return name;
}

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

// where: what to name in a message, for example --port or "port" in gateway.json
void set_option(Config &config, const Option &option, const std::string &where, const std::string &text) {
    if (const auto *number = std::get_if<int Config::*>(&option.member)) {
        int value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() || value < option.least || value > option.most)
            throw ConfigError(where + " must be a number from " + std::to_string(option.least) + " to " +
                              std::to_string(option.most));
        config.*(*number) = value;
    } else if (const auto *boolean = std::get_if<bool Config::*>(&option.member)) {
        if (text != "true" && text != "false") throw ConfigError(where + " must be true or false");
        config.*(*boolean) = text == "true";
    } else if (const auto *string = std::get_if<std::string Config::*>(&option.member)) {
        config.*(*string) = text;
    } else {
        config.*std::get<std::vector<std::string> Config::*>(option.member) = split_list(text);
    }
}

void set_from_file(Config &config, const std::string &key, const nlohmann::json &value, const std::string &path) {
    const Option *found = nullptr;
    for (const Option &option : options())
        if (key == option.name) found = &option;
    const std::string where = "\"" + key + "\" in " + path;
    if (found == nullptr) throw ConfigError("unknown option " + where);
    const bool is_list = std::holds_alternative<std::vector<std::string> Config::*>(found->member);
    if (value.is_string()) {
        set_option(config, *found, where, value.get<std::string>());
    } else if (is_list && value.is_array()) {
        auto &list = config.*std::get<std::vector<std::string> Config::*>(found->member);
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

void read_file(Config &config, const std::string &path, Mistakes &mistakes) {
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
        mistakes.attempt([&, &name = key, &given = value] { set_from_file(config, name, given, path); });
}

void check_origin(const std::string &origin) {
    const bool is_http = origin.starts_with("http://") || origin.starts_with("https://");
    const std::size_t host = origin.find("://") + 3;
    if (!is_http || origin.size() == host || origin.find_first_of("/ *?#", host) != std::string::npos ||
        lower_case(origin) != origin)
        throw ConfigError("cors_origins: \"" + origin + "\" is not an origin like https://app.example.com");
}

void check_choice(const char *name, const std::string &value, const std::vector<std::string> &choices) {
    std::string all;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (value == choices[i]) return;
        all += (i == 0 ? "" : i + 1 < choices.size() ? ", " : " or ") + choices[i];
    }
    throw ConfigError(std::string(name) + " must be " + all);
}

// What can only be judged when all options are known.
void check(Config &config, Mistakes &mistakes) {
    for (const std::string &text : config.trusted_proxies) {
        const std::optional<Network> network = Network::parse(text);
        if (network)
            config.trusted_networks.push_back(*network);
        else
            mistakes.add("trusted_proxies: \"" + text + "\" is not an address or network");
    }
    config.forwarded_header = lower_case(config.forwarded_header);
    mistakes.attempt([&] {
        check_choice("forwarded_header", config.forwarded_header, {"x-forwarded-for", "forwarded"});
    });
    mistakes.attempt([&] { check_choice("tls_min_version", config.tls_min_version, {"1.2", "1.3"}); });
    mistakes.attempt([&] { check_choice("server_timing", config.server_timing, {"never", "request", "always"}); });
    for (const std::string &origin : config.cors_origins) mistakes.attempt([&] { check_origin(origin); });
    if (config.tls_certificate.empty() != config.tls_key.empty())
        mistakes.add("tls_certificate and tls_key go together");
    for (const auto &[name, text] :
         {std::pair{"database", &config.database}, std::pair{"standby_database", &config.standby_database}})
        mistakes.attempt([&] { *text = connection_string(name, *text); });
}

// A flag and its value, which may be the next argument.
void read_flag(int argc, const char *const *argv, int &i, std::map<std::string, std::string> &flags,
               std::string &file) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    const std::string flag = argument.substr(0, equals);
    const Option *found = nullptr;
    for (const Option &option : options())
        if (flag == flag_of(option)) found = &option;
    if (found == nullptr && flag != "--config") throw ConfigError("unknown option " + flag + " (see --help)");
    const bool is_boolean = found != nullptr && std::holds_alternative<bool Config::*>(found->member);
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

} // namespace

Invocation read_config(int argc, const char *const *argv, const char *const *environment) {
    Invocation invocation;
    std::map<std::string, std::string> flags; // flag -> value, applied last
    std::string file;
    std::map<std::string, std::string> variables;
    std::string database_url;
    for (; environment != nullptr && *environment != nullptr; ++environment) {
        const std::string entry = *environment;
        const std::size_t equals = entry.find('=');
        if (entry.starts_with("USHER_GATEWAY_") && equals != std::string::npos)
            variables[entry.substr(0, equals)] = entry.substr(equals + 1);
        else if (entry.starts_with("DATABASE_URL="))
            database_url = entry.substr(equals + 1);
    }
    if (const auto found = variables.find("USHER_GATEWAY_CONFIG"); found != variables.end()) {
        file = found->second;
        variables.erase(found);
    }
    Mistakes &mistakes = invocation.mistakes;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--help")
            invocation.action = Invocation::Action::help;
        else if (argument == "--version")
            invocation.action = Invocation::Action::version;
        else if (argument == "--check-config")
            invocation.action = Invocation::Action::check;
        else
            mistakes.attempt([&] { read_flag(argc, argv, i, flags, file); });
    }
    Config &config = invocation.config;
    if (!file.empty()) mistakes.attempt([&] { read_file(config, file, mistakes); });
    for (const Option &option : options()) {
        if (const auto found = variables.find(environment_name_of(option)); found != variables.end()) {
            mistakes.attempt([&] { set_option(config, option, found->first, found->second); });
            variables.erase(found);
        }
        if (const auto found = flags.find(flag_of(option)); found != flags.end())
            mistakes.attempt([&] { set_option(config, option, found->first, found->second); });
    }
    for (const auto &[name, value] : variables) mistakes.add("unknown option " + name + " in the environment");
    if (config.database.empty() && !database_url.empty())
        mistakes.attempt([&] { config.database = connection_string("DATABASE_URL", database_url); });
    check(config, mistakes);
    return invocation;
}

std::string help_text() {
    const Config defaults;
    std::ostringstream out;
    out << "usher-gateway carries HTTP requests to usher.http_request in PostgreSQL, and its answers back.\n\n"
           "Usage: usher-gateway [--config FILE] [OPTION=VALUE ...]\n\n"
           "  --config FILE    JSON object with the options below as keys (underscores for dashes)\n"
           "  --check-config   say everything that is wrong with the configuration, and stop\n"
           "  --version        print the version, and stop\n"
           "  --help           print this text, and stop\n\n"
           "Each option can also be set in the environment: --pool-size is USHER_GATEWAY_POOL_SIZE. Flags win over "
           "the\n"
           "environment, which wins over the file. A password belongs into PGPASSFILE, not into a flag.\n\n";
    for (const Option &option : options()) {
        std::string value;
        if (const auto *number = std::get_if<int Config::*>(&option.member))
            value = std::to_string(defaults.*(*number));
        else if (const auto *boolean = std::get_if<bool Config::*>(&option.member))
            value = defaults.*(*boolean) ? "true" : "false";
        else if (const auto *string = std::get_if<std::string Config::*>(&option.member))
            value = defaults.*(*string);
        out << "  " << flag_of(option) << (value.empty() ? "" : "=" + value) << "\n        " << option.help << "\n";
    }
    return out.str();
}

} // namespace usher::gateway
